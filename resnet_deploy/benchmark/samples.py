"""The images that subjects get: those that ``export`` compares a file on without others."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.data.calibration import synthetic_calibration
from resnet_deploy.data.formats import encode
from resnet_deploy.data.preprocess import input_preprocess
from resnet_deploy.errors import ArtifactError, UnsupportedGraphError
from resnet_deploy.results import BenchSubject
from resnet_deploy.runners.base import as_taken
from resnet_deploy.spec import BenchSpec, ChannelOrder, InputContract, InputFormat, OutputKind

_PARITY_SAMPLES = 8


@dataclass(frozen=True)
class Samples:
    """A ``.npy`` file of images; those of equal ``content`` show the same.

    ``shown`` says what. ``classes``: what the subject answers to them is by class. ``card_sqnr_db``
    is the signal to noise that its card tells, on ``card_images``.
    """

    file: Path
    content: str
    shown: str
    classes: bool = True
    card_sqnr_db: float | None = None
    card_images: int = 0


def samples_for(subject: BenchSubject, spec: BenchSpec, folder: Path) -> Samples:
    """Write the images that ``subject`` gets, the same for the same image size.

    There are 8 of them for parity, repeated to whole batches; the first batch is timed. They are
    synthetic ones, seeded as where a file is made without images, in the resizing of the first file
    of their size. A file of this tool gets them prepared as its card says, so that files that take
    bytes and files that take floats are compared on the same images. What takes no pictures gets
    noise.
    """
    count = -(-_PARITY_SAMPLES // subject.batch_size) * subject.batch_size
    artifact = _artifact_of(subject)
    # Of one value the largest is always the same.
    kind = None if artifact is None else artifact.output_kind
    classes = kind is None or (kind.has_classes and kind is not OutputKind.BINARY)
    told = {} if artifact is None or artifact.card is None else artifact.card.parity
    preprocess = _preprocess_of(artifact, subject)
    if preprocess is not None:
        size = (count, preprocess.height, preprocess.width, preprocess.channels)
        content = "x".join(map(str, size))
        prepared = hashlib.sha256(f"{preprocess!r}{subject.input_dtype}".encode()).hexdigest()[:16]
        file = folder / f"images-{content}-{prepared}.npy"
        bands = preprocess.channel_order is ChannelOrder.BANDS
        if not file.exists():
            pixels = _noise(size, spec.seed) if bands else _pictures(preprocess, spec.seed, folder)
            inputs = np.resize(encode(pixels, preprocess), (count, *subject.input_shape))
            np.save(file, as_taken(inputs, subject.input_dtype), allow_pickle=False)
        return Samples(
            file=file,
            content=content,
            shown=_of_noise(count) if bands else f"{_PARITY_SAMPLES} synthetic images",
            classes=classes,
            card_sqnr_db=told.get("int8_sqnr_db"),
            card_images=int(told.get("int8_samples", 0)),
        )
    shape = "x".join(str(size) for size in subject.input_shape)
    file = folder / f"samples-{count}x{shape}-{subject.input_dtype}.npy"
    if not file.exists():
        whole = (count, *subject.input_shape)
        if np.issubdtype(np.dtype(subject.input_dtype), np.integer):
            array: Array = _noise(whole, spec.seed).astype(subject.input_dtype)
        else:
            generator = np.random.default_rng(spec.seed)
            array = generator.standard_normal(whole, np.float32).astype(subject.input_dtype)
        np.save(file, array, allow_pickle=False)
    return Samples(file=file, content=file.name, shown=_of_noise(count), classes=classes)


def _of_noise(count: int) -> str:
    return f"{count} images of noise"


def _noise(size: tuple[int, ...], seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)


def _pictures(preprocess: InputContract, seed: int, folder: Path) -> NDArray[np.uint8]:
    """Return RGB pictures ``(8, H, W, 3)``, those that another subject of this size got."""
    file = folder / f"pictures-{preprocess.height}x{preprocess.width}.npy"
    if not file.exists():
        pixels_only = InputContract(
            height=preprocess.height,
            width=preprocess.width,
            resize=preprocess.resize,
            resize_mode=preprocess.resize_mode,
            interpolation=preprocess.interpolation,
            format=InputFormat.UINT8_NHWC,
        )
        made = synthetic_calibration(pixels_only, samples=_PARITY_SAMPLES, seed=seed + 1)
        np.save(file, np.concatenate(list(made)), allow_pickle=False)
    pictures: NDArray[np.uint8] = np.load(file, allow_pickle=False)
    return pictures


def _artifact_of(subject: BenchSubject) -> Artifact | None:
    try:
        return load(Path(subject.model))
    except ArtifactError:  # a peer's model, of another kind than ONNX
        return None


def _preprocess_of(artifact: Artifact | None, subject: BenchSubject) -> InputContract | None:
    """Return how images become the input of the file; None where that is not known."""
    if artifact is None or artifact.image_shape != subject.input_shape:
        return None
    try:
        return input_preprocess(artifact)
    except UnsupportedGraphError:
        return None
