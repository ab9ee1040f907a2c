"""Golden cases: a picture, the exact input that it becomes, and what the network answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.onnx_file import Artifact
from resnet_deploy.bundles.contract import Contract
from resnet_deploy.bundles.pictures import Pixels, made_up_pictures
from resnet_deploy.data.datasets import Dataset
from resnet_deploy.data.images import to_rgb
from resnet_deploy.data.preprocess import prepare
from resnet_deploy.data.sampling import spread_sample
from resnet_deploy.errors import RunnerError
from resnet_deploy.runners.base import infer_every
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import OutputKind, SessionSpec

_LONGEST_SIDE = 1024
"""Larger pictures are made smaller: a bundle is no photo album."""


@dataclass(frozen=True, kw_only=True)
class GoldenCase:
    """``picture`` is RGB ``(H, W, 3)`` or grey ``(H, W)`` in uint8; ``tensor`` has no batch."""

    name: str
    picture: Pixels
    tensor: Array

    @property
    def picture_file(self) -> str:
        """Its file in the bundle: binary PPM, or PGM where it is grey."""
        return f"golden/{self.name}.{'ppm' if self.picture.ndim == 3 else 'pgm'}"

    @property
    def tensor_file(self) -> str:
        """The file of the input: the numbers alone, in C order, little-endian."""
        return f"golden/{self.name}.input"

    @property
    def width(self) -> int:
        """Of the picture, in pixels."""
        return int(self.picture.shape[1])

    @property
    def height(self) -> int:
        """Of the picture, in pixels."""
        return int(self.picture.shape[0])

    def files(self) -> dict[str, bytes]:
        """Return the files of the picture and of the input, by name."""
        tensor = self.tensor.astype(self.tensor.dtype.newbyteorder("<"))
        return {
            self.picture_file: netpbm(self.picture),
            self.tensor_file: np.ascontiguousarray(tensor).tobytes(),
        }


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the network says to one case: the first output's values, and the best class."""

    scores: NDArray[np.float32]
    top1: int

    @property
    def margin(self) -> float:
        """How far the best score is above the second; infinite where there is only one."""
        if self.scores.size < 2:
            return float("inf")
        second, first = np.partition(self.scores, -2)[-2:]
        return float(first - second)

    def to_bytes(self) -> bytes:
        """Return the scores as little-endian float32."""
        return self.scores.astype("<f4").tobytes()


def golden_cases(
    contract: Contract, dataset: Dataset | None, count: int, seed: int
) -> tuple[GoldenCase, ...]:
    """Return the made-up cases, and ``count`` pictures of ``dataset`` behind them.

    Raises:
        DatasetError: a picture can't be read.
    """
    pictures: dict[str, Pixels] = dict(made_up_pictures(contract.preprocess))
    if dataset is not None:
        pictures.update(_real_pictures(dataset, spread_sample(dataset, count, seed)))
    return tuple(
        GoldenCase(
            name=name,
            picture=picture,
            tensor=prepare(to_rgb(Image.fromarray(picture)), contract.preprocess),
        )
        for name, picture in pictures.items()
    )


def answers(
    artifact: Artifact, cases: Sequence[GoldenCase], options: tuple[tuple[str, str], ...] = ()
) -> tuple[Answer, ...]:
    """Return what ONNX Runtime answers to each case, run alone on one thread.

    ``options`` are further session options.

    Raises:
        RunnerError: the model can't be run, or gives NaN.
    """
    # A batch of one each, as an app runs it; a fixed batch gets the same picture in every place.
    size = artifact.input.shape[0] or 1
    found = []
    spec = SessionSpec(threads=1, spin=False, options=options)
    with closing(OrtRunner(artifact.path, spec)) as runner:
        for case in cases:
            outputs = infer_every(runner, np.repeat(case.tensor[None], size, axis=0))
            scores = np.asarray(outputs[0][0], dtype=np.float32).reshape(-1)
            if not np.isfinite(scores).all():
                raise RunnerError(
                    f"{artifact.path} gives NaN or infinity for {case.name}: its weights or its "
                    "quantization are broken"
                )
            named = artifact.output_kind is OutputKind.TOP_K
            top1 = int(outputs[1][0].reshape(-1)[0]) if named else int(scores.argmax())
            found.append(Answer(scores=scores, top1=top1))
    return tuple(found)


def netpbm(picture: Pixels) -> bytes:
    """Return a picture as binary PPM (P6), or PGM (P5) where it is grey."""
    height, width = picture.shape[:2]
    magic = "P6" if picture.ndim == 3 else "P5"
    return f"{magic}\n{width} {height}\n255\n".encode() + np.ascontiguousarray(picture).tobytes()


def _real_pictures(dataset: Dataset, indices: Sequence[int]) -> Mapping[str, Pixels]:
    return dict(_named_pictures(dataset, indices))


def _named_pictures(dataset: Dataset, indices: Sequence[int]) -> Iterator[tuple[str, Pixels]]:
    for number, index in enumerate(indices):
        image = dataset.image(index)
        image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
        yield f"real-{number:02d}", np.asarray(image, dtype=np.uint8)
