"""Golden cases: an image, the exact input that it becomes, and what the network answers.

Most images are synthetic, and exercise what preprocessing can get wrong: sizes are odd, upright,
lying, elongated, too small and just right; one is grey. They are made of integers and of the noise
of :mod:`resnet_deploy.data.synthetic`, so that every machine makes the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.bundles.contract import Contract
from resnet_deploy.data.datasets import Dataset
from resnet_deploy.data.images import to_rgb
from resnet_deploy.data.preprocess import prepare
from resnet_deploy.data.sampling import spread_sample
from resnet_deploy.data.synthetic import synthetic_images
from resnet_deploy.errors import RunnerError, UnsupportedGraphError
from resnet_deploy.runners.base import infer_every
from resnet_deploy.runners.registry import open_runner
from resnet_deploy.spec import (
    BundleRuntime,
    InputContract,
    Optimization,
    OutputKind,
    SessionSpec,
)

Pixels = NDArray[np.uint8]

_LONGEST_SIDE = 1024
"""Larger images are made smaller: a self-test needs no full-size photos."""

_MOST_BYTES = 1 << 30
"""Of all inputs, which are kept until the bundle is written."""

_WORDS = "resnet 34: 3x3 conv, 64\nRGB, not BGR. Bilinear."
_SEED = 0
_FLOAT_BYTES = 4
_REAL = "real-"


@dataclass(frozen=True, kw_only=True)
class GoldenCase:
    """``image`` is RGB ``(H, W, 3)`` or grey ``(H, W)`` in uint8; ``tensor`` has no batch."""

    name: str
    image: Pixels
    tensor: Array

    @property
    def is_real(self) -> bool:
        """Whether it is a picture of a dataset."""
        return self.name.startswith(_REAL)

    @property
    def image_file(self) -> str:
        """Its file in the bundle: binary PPM, or PGM where it is grey."""
        return f"golden/{self.name}.{'ppm' if self.image.ndim == 3 else 'pgm'}"

    @property
    def tensor_file(self) -> str:
        """The file of the input: the numbers alone, in C order, little-endian."""
        return f"golden/{self.name}.input"

    @property
    def width(self) -> int:
        """Of the image, in pixels."""
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        """Of the image, in pixels."""
        return int(self.image.shape[0])

    def files(self) -> dict[str, bytes]:
        """Return the files of the image and of the input, by name."""
        tensor = self.tensor.astype(self.tensor.dtype.newbyteorder("<"))
        return {
            self.image_file: netpbm(self.image),
            self.tensor_file: np.ascontiguousarray(tensor).tobytes(),
        }


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the network says to one case.

    ``outputs`` are its float32 outputs without the batch, all of them where they are arrays. Of a
    classifier it is the first alone, flat: a score for each class, or for each of the K best.
    ``top1`` is the best class; None where there are arrays.
    """

    outputs: tuple[NDArray[np.float32], ...]
    top1: int | None

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the outputs."""
        return tuple(output.shape for output in self.outputs)

    @property
    def scores(self) -> NDArray[np.float32]:
        """The first output, flat."""
        return self.outputs[0].reshape(-1)

    @property
    def margin(self) -> float:
        """How far the best score is above the second; infinite where there is only one."""
        if self.scores.size < 2:
            return float("inf")
        second, first = np.partition(self.scores, -2)[-2:]
        return float(first - second)

    def to_bytes(self, every: Sequence[int]) -> bytes:
        """Return the outputs one after the other, as little-endian float32.

        Of output ``i`` each ``every[i]``-th value is kept, in C order and from the first on.
        """
        kept = (
            output.reshape(-1)[::step] for output, step in zip(self.outputs, every, strict=True)
        )
        return b"".join(values.astype("<f4").tobytes() for values in kept)


def golden_cases(
    contract: Contract, dataset: Dataset | None, count: int, seed: int
) -> tuple[GoldenCase, ...]:
    """Return the synthetic cases, and ``count`` images of ``dataset`` behind them.

    Raises:
        DatasetError: an image can't be read.
        UnsupportedGraphError: they are too large to be kept together.
    """
    images = golden_images(contract.preprocess)
    spec = contract.preprocess
    together = len(images) + (0 if dataset is None else count)
    if together * spec.height * spec.width * spec.channels * _FLOAT_BYTES > _MOST_BYTES:
        raise UnsupportedGraphError(
            f"the {together} pictures of a self-test of {spec.height}x{spec.width} pixels take "
            f"more than {_MOST_BYTES >> 30} GiB: bundles hold networks for smaller ones"
        )
    if dataset is not None:
        for number, index in enumerate(spread_sample(dataset, count, seed)):
            image = to_rgb(dataset.image(index))
            image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
            images[f"{_REAL}{number:02d}"] = np.asarray(image, dtype=np.uint8)
    return tuple(
        GoldenCase(
            name=name,
            image=image,
            tensor=prepare(to_rgb(Image.fromarray(image)), contract.preprocess),
        )
        for name, image in images.items()
    )


def answers(
    artifact: Artifact,
    cases: Sequence[GoldenCase],
    options: tuple[tuple[str, str], ...] = (),
    *,
    kind: BundleRuntime = BundleRuntime.ORT,
    optimization: Optimization = Optimization.ALL,
) -> tuple[Answer, ...]:
    """Return what ONNX Runtime, or OpenVINO, answers to each case, run alone on one thread.

    ``options`` are further session options, ``optimization`` is ONNX Runtime's.

    Raises:
        MissingDependencyError: OpenVINO is not installed.
        RunnerError: the model can't be run, or gives NaN.
        SpecError: the runtime has no such option.
        UnsupportedGraphError: an output is not one for each picture.
    """
    # A batch of one each, as an app runs it; a fixed batch gets the same image in every place.
    size = artifact.input.shape[0] or 1
    found = []
    spec = SessionSpec(threads=1, spin=False, optimization=optimization, options=options)
    with closing(open_runner(kind.value, artifact.plain, spec)) as runner:
        for case in cases:
            outputs = infer_every(runner, np.repeat(case.tensor[None], size, axis=0))
            found.append(_answer(artifact, case, outputs, size))
    return tuple(found)


def _answer(artifact: Artifact, case: GoldenCase, outputs: Sequence[Array], size: int) -> Answer:
    """Return what ``outputs``, of a batch of ``size`` times the case's picture, say of it."""
    has_classes = artifact.output_kind.has_classes
    for tensor, values in zip(artifact.outputs, outputs, strict=True):
        if values.ndim == 0 or len(values) != size:
            raise UnsupportedGraphError(
                f"{artifact.path} gives {tensor.name} of the shape {values.shape} for {size} "
                "pictures: bundles hold networks that answer for each picture alone"
            )
    first = np.asarray(outputs[0][0], dtype=np.float32)
    every = (
        (first.reshape(-1),)
        if has_classes
        else tuple(np.asarray(values[0], dtype=np.float32) for values in outputs)
    )
    if not all(np.isfinite(values).all() for values in every):
        raise RunnerError(
            f"{artifact.path} gives NaN or infinity for {case.name}: its weights or its "
            "quantization are broken"
        )
    if not has_classes:
        return Answer(outputs=every, top1=None)
    named = artifact.output_kind is OutputKind.TOP_K
    return Answer(
        outputs=every,
        top1=int(outputs[1][0].reshape(-1)[0]) if named else int(every[0].argmax()),
    )


def netpbm(image: Pixels) -> bytes:
    """Return a image as binary PPM (P6), or PGM (P5) where it is grey."""
    height, width = image.shape[:2]
    magic = "P6" if image.ndim == 3 else "P5"
    return f"{magic}\n{width} {height}\n255\n".encode() + np.ascontiguousarray(image).tobytes()


def golden_images(spec: InputContract) -> dict[str, Pixels]:
    """Return the synthetic images by name: RGB ``(H, W, 3)`` or grey ``(H, W)``, in uint8.

    Args:
        spec: what they will be prepared with; it determines their sizes, within bounds.
    """
    rows, columns, height, width = (
        min(size, _LONGEST_SIDE) for size in (*spec.resize, spec.height, spec.width)
    )
    photo = _photo(rows * 3 // 2, columns * 3 // 2, _SEED)
    return {
        "photo-like": photo[: rows * 5 // 4],
        "as-is": _photo(height, width, _SEED + 1),
        "gradient-upright": _gradient(columns * 9 // 8 + 1, rows * 3 + 3),
        "text-lying": _text(columns * 2 + 1, rows + 7),
        "small": _photo(max(height // 3, 5), max(width // 3, 5), _SEED + 2),
        "checkerboard-elongated": _checkerboard(columns * 3, rows // 2 + 1),
        "grey": np.ascontiguousarray(photo[: rows + 5, : columns * 4 // 3, 1]),
    }


def _photo(height: int, width: int, seed: int) -> Pixels:
    """A synthetic photo, cut to its size; nothing of it is squashed."""
    square = synthetic_images(1, max(height, width), seed)[0]
    return np.ascontiguousarray(square[:height, :width])


def _gradient(width: int, height: int) -> Pixels:
    """Red grows to the right, green downwards, blue against both: any swap or flip shows."""
    across = np.arange(width) * 255 // (width - 1)
    down = np.arange(height) * 255 // (height - 1)
    image = np.empty((height, width, 3), dtype=np.uint8)
    image[..., 0] = across
    image[..., 1] = down[:, None]
    image[..., 2] = 255 - (across + down[:, None]) // 2
    return image


def _text(width: int, height: int) -> Pixels:
    """Sharp edges in dark red on light yellow; the bitmap font is part of Pillow."""
    letters = Image.new("L", (150, 40), 0)
    ImageDraw.Draw(letters).multiline_text(
        (4, 4), _WORDS, fill=255, font=ImageFont.load_default_imagefont()
    )
    mask = np.asarray(letters.resize((width, height), Image.Resampling.NEAREST)) > 127
    image = np.empty((height, width, 3), dtype=np.uint8)
    image[:] = (255, 250, 205)
    image[mask] = (128, 16, 16)
    return image


def _checkerboard(width: int, height: int) -> Pixels:
    """Squares of one pixel: what is resized without antialiasing gets moiré instead of grey."""
    field = (np.arange(width) + np.arange(height)[:, None]) % 2
    colours = np.array([(250, 40, 40), (20, 200, 220)], dtype=np.uint8)
    image: Pixels = colours[field]
    return image
