"""``--resize-in-graph``: files that take images of any size, if they resize as Pillow does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.card import Card
from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import make
from resnet_deploy.data.calibration import CalibrationImages
from resnet_deploy.data.images import to_rgb
from resnet_deploy.data.preprocess import prepare
from resnet_deploy.data.synthetic import synthetic_images
from resnet_deploy.errors import ExportError
from resnet_deploy.rewrites.resize_front import front_alone, resize_front
from resnet_deploy.runners.ort_runner import open_session
from resnet_deploy.spec import InputContract, SessionSpec

_LEVELS = 1
"""Grey levels that the graph may be off Pillow anywhere."""

_REAL_IMAGES = 32
_SIZES = ((480, 640), (640, 480), (333, 500), (500, 500), (97, 131), (1200, 301), (64, 64))
"""Height and width of the synthetic images: enlarged, reduced, and of every parity."""


@dataclass(frozen=True)
class ResizeCheck:
    """How far the graph is from Pillow: in grey levels, and in how many of the values at all."""

    images: int
    worst: int
    differing: float

    def __str__(self) -> str:
        return (
            f"resizing in the graph: at most {self.worst} grey level off Pillow on "
            f"{self.images} images, {self.differing:.1%} of the values differ"
        )


def check_resize(preprocess: InputContract, images: CalibrationImages) -> ResizeCheck:
    """Compare the graph's resizing with Pillow's on images of many sizes.

    Args:
        preprocess: what is resized to what.
        images: real images to compare on as well; synthetic ones are of one size and left out.

    Raises:
        ExportError: somewhere it is more than one grey level off.
    """
    session = open_session(front_alone(preprocess).SerializeToString(), SessionSpec(spin=False))
    outside = replace(preprocess, resize_in_graph=False)
    worst, differing, total, count = 0, 0, 0, 0
    for image in _test_images(images):
        expected = prepare(image, outside).astype(np.int16)
        pixels = np.asarray(image, np.uint8)
        got = session.run(None, {"input": pixels[None]})[0][0].astype(np.int16)
        off = np.abs(got - expected)
        worst, differing = max(worst, int(off.max())), differing + int((off > 0).sum())
        total, count = total + off.size, count + 1
    if worst > _LEVELS:
        raise ExportError(
            f"--resize-in-graph is refused: ONNX Runtime's Resize is {worst} grey levels off "
            f"Pillow's {preprocess.interpolation} filter: resize outside of the graph"
        )
    return ResizeCheck(count, worst, differing / total)


def _test_images(images: CalibrationImages) -> Iterator[Image.Image]:
    square = synthetic_images(len(_SIZES), 256, 0)
    for pixels, (height, width) in zip(square, _SIZES, strict=True):
        yield Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    if not images.synthetic:
        for index in images.indices[:_REAL_IMAGES]:
            yield to_rgb(images.dataset.image(index))


def with_resize(artifact: Artifact, check: ResizeCheck, fp32: Artifact | None = None) -> Artifact:
    """Return ``artifact`` with the resizing in front.

    Args:
        artifact: takes bytes in rows.
        check: what was found for its preprocessing.
        fp32: for an int8 file, what it was made from, with the resizing in front.
    """
    card = artifact.card
    assert card is not None, "what this tool made has a card"
    if fp32 is not None:
        card = _made_from(card, fp32)
    preprocess = replace(card.preprocess, resize_in_graph=True)
    step = {"worst_levels": check.worst, "pictures": check.images}
    card = replace(card, preprocess=preprocess).with_step("resize_in_graph", step)
    return make(resize_front(read_model(artifact.path), preprocess), card, artifact.path.name)


def _made_from(card: Card, fp32: Artifact) -> Card:
    """Return ``card`` with ``fp32``, which was written anew, as what its file was made from."""
    steps = tuple(
        replace(step, options={**step.options, "fp32_sha256": fp32.sha256})
        if "fp32_sha256" in step.options
        else step
        for step in card.steps
    )
    return replace(card, steps=steps)
