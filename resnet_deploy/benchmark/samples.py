"""The images that subjects get."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.data.formats import encode
from resnet_deploy.data.preprocess import input_preprocess
from resnet_deploy.errors import ArtifactError, UnsupportedGraphError
from resnet_deploy.results import BenchSubject
from resnet_deploy.runners.base import as_taken
from resnet_deploy.spec import BenchSpec, InputContract, OutputKind

_PARITY_SAMPLES = 8


@dataclass(frozen=True)
class Samples:
    """A ``.npy`` file of images; those of equal ``content`` show the same.

    ``classes``: what the subject answers to them is by class.
    """

    file: Path
    content: str
    classes: bool = True


def samples_for(subject: BenchSubject, spec: BenchSpec, folder: Path) -> Samples:
    """Write the images that ``subject`` gets: noise, the same for the same image size.

    There are 8 of them for parity, rounded up to whole batches; the first batch is timed. A file
    of this tool gets them prepared as its card says, so that files that take bytes and files that
    take floats are compared on the same images.
    """
    count = -(-_PARITY_SAMPLES // subject.batch_size) * subject.batch_size
    generator = np.random.default_rng(spec.seed)
    artifact = _artifact_of(subject)
    # Of one value the largest is always the same.
    kind = None if artifact is None else artifact.output_kind
    classes = kind is None or (kind.has_classes and kind is not OutputKind.BINARY)
    preprocess = _preprocess_of(artifact, subject)
    if preprocess is not None:
        size = (count, preprocess.height, preprocess.width, preprocess.channels)
        content = "x".join(map(str, size))
        prepared = hashlib.sha256(f"{preprocess!r}{subject.input_dtype}".encode()).hexdigest()[:16]
        file = folder / f"images-{content}-{prepared}.npy"
        if not file.exists():
            pixels = generator.integers(0, 256, size).astype(np.uint8)
            prepared_images = as_taken(encode(pixels, preprocess), subject.input_dtype)
            np.save(file, prepared_images, allow_pickle=False)
        return Samples(file, content, classes)
    shape = "x".join(str(size) for size in subject.input_shape)
    file = folder / f"samples-{count}x{shape}-{subject.input_dtype}.npy"
    if not file.exists():
        whole = (count, *subject.input_shape)
        if np.issubdtype(np.dtype(subject.input_dtype), np.integer):
            array: Array = generator.integers(0, 256, whole).astype(subject.input_dtype)
        else:
            array = generator.standard_normal(whole, np.float32).astype(subject.input_dtype)
        np.save(file, array, allow_pickle=False)
    return Samples(file, file.name, classes)


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
