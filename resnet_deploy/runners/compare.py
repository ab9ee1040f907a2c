"""How far one runner's output is from another's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.onnx_file import Artifact
from resnet_deploy.errors import RunnerError
from resnet_deploy.results import OutputDiff
from resnet_deploy.spec import OutputKind

_TIE = 1e-5
"""Two probabilities this close to each other, as a share of the larger, are a tie in float32."""


def difference(name: str, expected: Array, got: Array) -> OutputDiff:
    """Return how far ``got`` is from ``expected``, both ``(N, …)`` float.

    Raises:
        RunnerError: the shapes differ, or there are no values.
    """
    if expected.shape != got.shape or expected.size == 0:
        raise RunnerError(
            f"{name} has shape {list(got.shape)} instead of {list(expected.shape)}: the files "
            "are not of the same network"
        )
    reference, candidate = expected.astype(np.float64), got.astype(np.float64)
    error = candidate - reference
    return OutputDiff(
        name=name,
        samples=len(expected),
        max_abs=float(np.abs(error).max()),
        max_reference=float(np.abs(reference).max()),
        signal_power=float((reference**2).sum()),
        noise_power=float((error**2).sum()),
        dot=float((reference * candidate).sum()),
        candidate_power=float((candidate**2).sum()),
    )


def top1_equal(expected: Array, got: Array) -> tuple[bool, ...]:
    """Return, sample by sample, whether both pick the same class; logits ``(N, classes)``."""
    same = expected.reshape(len(expected), -1).argmax(1) == got.reshape(len(got), -1).argmax(1)
    return tuple(bool(one) for one in same)


def output_differences(
    artifact: Artifact, expected: Sequence[Array], got: Sequence[Array]
) -> tuple[OutputDiff, ...]:
    """Return how far each output of ``artifact`` is from ``expected``, class numbers excepted.

    Raises:
        RunnerError: the two have not the same outputs.
    """
    names = [spec.name for spec in artifact.outputs]
    if len(expected) != len(names):
        raise RunnerError(
            f"{artifact.path} has {len(names)} outputs ({', '.join(names)}), its reference has "
            f"{len(expected)}: compare files made with the same --output"
        )
    triples = zip(names, expected, got, strict=True)
    floats = [one for one in triples if np.issubdtype(one[2].dtype, np.floating)]
    return tuple(difference(*one) for one in floats)


def same_class(
    artifact: Artifact, expected: Sequence[Array], got: Sequence[Array]
) -> tuple[bool, ...]:
    """Return, sample by sample, whether both pick the same class; empty if there are no classes.

    Where the reference lists several classes and two are a tie, either is right.
    """
    if not artifact.output_kind.has_classes:
        return ()
    if artifact.output_kind is not OutputKind.TOP_K:
        return top1_equal(expected[0], got[0])
    probabilities, classes = expected
    chosen = got[1][:, :1]
    wanted = probabilities[:, :1] * (1 - _TIE)
    return tuple(((classes == chosen) & (probabilities >= wanted)).any(axis=1).tolist())


def side_by_side(outputs: Sequence[Array]) -> Array:
    """Return all outputs that hold numbers as one, ``(N, values)``; a single one as it is."""
    if len(outputs) == 1:
        return outputs[0]
    numbers = [one for one in outputs if np.issubdtype(one.dtype, np.floating)]
    return np.concatenate([one.reshape(len(one), -1) for one in numbers], axis=1)
