"""One value per class for each image, whichever of the class-wise outputs a file has."""

from __future__ import annotations

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.onnx_file import Artifact
from resnet_deploy.errors import RunnerError, UnsupportedGraphError
from resnet_deploy.runners.base import Runner, infer_every
from resnet_deploy.spec import OutputKind

_LEAST = np.finfo(np.float64).tiny
"""A listed class ranks above all others, even where its probability underflows to 0."""


def check_has_classes(artifact: Artifact) -> None:
    """Refuse a file that gives features.

    Raises:
        UnsupportedGraphError: there are no classes among its outputs.
    """
    if not artifact.output_kind.has_classes:
        raise UnsupportedGraphError(
            f"{artifact.path} gives {artifact.output_kind.value}, not classes: use a file exported "
            "with --output logits, softmax or top-K"
        )


def listed_classes(artifact: Artifact) -> int | None:
    """Return how many classes the file names per image; None when it has a value for each."""
    if artifact.output_kind is not OutputKind.TOP_K:
        return None
    size = artifact.outputs[0].shape[-1]
    return artifact.card.output.k if size is None and artifact.card else size


def class_scores(artifact: Artifact, runner: Runner, batch: Array) -> Array:
    """Return ``(N, classes)`` float: logits or probabilities, as the file gives them.

    Of a top-K file the classes that it does not name have 0.

    Args:
        artifact: the file.
        runner: has it open.
        batch: matches its input; any batch size.

    Raises:
        UnsupportedGraphError: see :func:`check_has_classes`; or nothing says how many classes a
            foreign top-K file has.
        RunnerError: it names a class that it does not have.
    """
    check_has_classes(artifact)
    outputs = infer_every(runner, batch)
    if artifact.output_kind is not OutputKind.TOP_K:
        # Some models keep the 1x1 of their last pooling.
        return outputs[0].reshape(len(outputs[0]), -1)
    count = artifact.card.model.num_classes if artifact.card is not None else 0
    if not count:
        raise UnsupportedGraphError(
            f"{artifact.path} lists the top classes only, and has no card with the number of "
            "classes: use a file that gives a value per class"
        )
    probabilities, classes = outputs
    if classes.min() < 0 or classes.max() >= count:
        raise RunnerError(
            f"{artifact.path} names class {classes.max()} of {count}: its card is of another file"
        )
    scores = np.zeros((len(classes), count))
    np.put_along_axis(scores, classes, np.maximum(probabilities, _LEAST), axis=1)
    return scores
