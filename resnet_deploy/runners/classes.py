"""One value per class for each image, whichever of the class-wise outputs a file has."""

from __future__ import annotations

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.errors import RunnerError, UnsupportedGraphError
from resnet_deploy.runners.base import Runner, infer_every
from resnet_deploy.spec import OutputKind

_LEAST = np.finfo(np.float64).tiny
"""A listed class ranks above all others, even where its probability underflows to 0."""


def check_has_classes(artifact: Artifact) -> None:
    """Refuse a file that does not say which one class a picture is of.

    Raises:
        UnsupportedGraphError: it gives features, an embedding, or any number of labels.
    """
    check_has_names(artifact)
    if not artifact.output_kind.has_classes:
        raise UnsupportedGraphError(
            f"{artifact.path} gives {artifact.output_kind.value}, not classes: a picture has any "
            "number of labels; if it has one, say --output-kind sigmoid or logits"
        )


def check_has_names(artifact: Artifact) -> None:
    """Refuse a file that gives neither classes nor labels.

    Raises:
        UnsupportedGraphError: there are none among its outputs, none with a score, or one whose
            probability is always 1.
    """
    kind = artifact.output_kind
    if not kind.has_names:
        one = kind is OutputKind.FEATURES and len(artifact.outputs) == 1
        what = f"{artifact.values} values per image" if artifact.values else str(artifact.output)
        use = f"verify and quantize take it as it is; to name classes {_CLASSES}"
        raise UnsupportedGraphError(
            f"{artifact.path} gives {kind.value}, not classes ({what}): "
            f"{use if one else _USES[kind]}"
        )
    if kind is not OutputKind.TOP_K and "int" in artifact.output.dtype:
        raise UnsupportedGraphError(
            f"{artifact.path} gives {artifact.output}, the numbers of classes without their "
            "scores: export it without ArgMax"
        )
    if kind is OutputKind.SOFTMAX and artifact.values == 1:
        raise UnsupportedGraphError(
            f"{artifact.path} ends in the softmax of one value, which is always 1: export it with "
            "a sigmoid, or without"
        )


_CLASSES = "use a file exported with --output logits, softmax or top-K"

_USES = {
    OutputKind.EMBEDDING: "compare its values by cosine, or say --output-kind logits if they are "
    f"classes; to name classes {_CLASSES}",
    OutputKind.FEATURES: f"name the output that counts classes with --output-name, or {_CLASSES}",
}
"""What to do with an answer that is not a class."""


def listed_classes(artifact: Artifact) -> int | None:
    """Return how many classes the file names per image; None when it has a value for each.

    One value names both of its classes, so a top-5 of them would say nothing.
    """
    if artifact.output_kind is not OutputKind.TOP_K:
        return 2 if artifact.output_kind is OutputKind.BINARY else None
    size = artifact.outputs[0].shape[-1]
    return artifact.card.output.k if size is None and artifact.card else size


def class_scores(artifact: Artifact, runner: Runner, batch: Array) -> Array:
    """Return ``(N, classes)`` float: logits or probabilities, as the file gives them.

    Of a top-K file the classes that it does not name have 0; see also :func:`by_class`.

    Args:
        artifact: the file.
        runner: has it open.
        batch: matches its input; any batch size.

    Raises:
        UnsupportedGraphError: see :func:`check_has_names`; or nothing says how many classes a
            foreign top-K file has.
        RunnerError: it names a class that it does not have.
    """
    check_has_names(artifact)
    outputs = infer_every(runner, batch)
    if artifact.output_kind is not OutputKind.TOP_K:
        return by_class(artifact, outputs[0])
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


def by_class(artifact: Artifact, values: Array) -> Array:
    """Return ``(N, classes)`` of the first output of a file that has a value for each class.

    One value becomes two classes: ``[1 - p, p]`` of a probability, ``[0, x]`` of a logit, whose
    softmax is the sigmoid. So the second class is chosen from 0.5 on, or from 0.

    Raises:
        UnsupportedGraphError: see :func:`rows_of`.
        RunnerError: there is another number of values than one where one was told.
    """
    rows = rows_of(artifact, values)
    if artifact.output_kind is not OutputKind.BINARY:
        return rows
    if rows.shape[1] != 1:
        raise RunnerError(
            f"{artifact.path} gives {rows.shape[1]} values per image, and --output-kind binary is "
            "of one: say logits, sigmoid or multi-label"
        )
    first = 1 - rows if artifact.gives_probabilities else np.zeros_like(rows)
    return np.concatenate([first, rows], axis=1)


def rows_of(artifact: Artifact, values: Array) -> Array:
    """Return ``(N, values)`` of the first output of a file that gives a row for each image.

    Raises:
        UnsupportedGraphError: there are maps or sequences, of which nothing told before.
    """
    sizes = [size for size in values.shape[1:] if size != 1]
    if len(sizes) > 1:
        raise UnsupportedGraphError(
            f"{artifact.path} gives {' x '.join(map(str, values.shape[1:]))} values per image: "
            "maps or a sequence, not classes; say --output-kind features"
        )
    # Some models keep the 1x1 of their last pooling.
    rows: Array = values.reshape(len(values), -1)
    return rows
