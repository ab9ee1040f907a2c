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
    reference, candidate = (values.astype(np.float64, copy=False) for values in (expected, got))
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
    """Return, sample by sample, whether both pick the same class; logits ``(N, classes)``.

    A sample with NaN picks none.
    """
    rows, others = (logits.reshape(len(logits), -1) for logits in (expected, got))
    broken = (np.isnan(rows) | np.isnan(others)).any(axis=1)
    return tuple(((rows.argmax(axis=1) == others.argmax(axis=1)) & ~broken).tolist())


def difference_and_top1(
    name: str, expected: Array, got: Array, *, classes: bool = True
) -> tuple[OutputDiff, tuple[bool, ...]]:
    """Return :func:`difference`, and :func:`top1_equal` where the values are by class."""
    return difference(name, expected, got), top1_equal(expected, got) if classes else ()


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
    return tuple(
        difference(name, right, value)
        for name, right, value in zip(names, expected, got, strict=True)
        if np.issubdtype(value.dtype, np.floating)
    )


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
    numbers = [output for output in outputs if np.issubdtype(output.dtype, np.floating)]
    return np.concatenate([output.reshape(len(output), -1) for output in numbers], axis=1)
