"""How far one runner's output is from another's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.errors import RunnerError
from resnet_deploy.results import OutputDiff
from resnet_deploy.runners.classes import by_class
from resnet_deploy.spec import LABEL_THRESHOLD, OutputKind

_ROUNDING = 1e-6
"""Values of float32 that differ by less, as a share of the largest, are the same."""

_ROWS_AT_ONCE = 1024

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

    Where the reference lists several classes and two are a tie, either is right. One class alone
    would be the same whatever happens, so it is not compared.
    """
    if not artifact.output_kind.has_classes:
        return ()
    if artifact.output_kind is not OutputKind.TOP_K:
        rows, others = (by_class(artifact, outputs[0]) for outputs in (expected, got))
        return top1_equal(rows, others) if rows.shape[1] > 1 else ()
    probabilities, classes = expected
    chosen = got[1][:, :1]
    wanted = probabilities[:, :1] * (1 - _TIE)
    return tuple(((classes == chosen) & (probabilities >= wanted)).any(axis=1).tolist())


def decisions(artifact: Artifact, values: Array) -> Array:
    """Return ``(N, labels)`` bool: which labels a file of logits or probabilities gives each image.

    NaN gives none.
    """
    least = LABEL_THRESHOLD if artifact.gives_probabilities else 0.0
    found: Array = values.reshape(len(values), -1) >= least
    return found


def cosines(expected: Array, got: Array) -> tuple[float, ...]:
    """Return, sample by sample, the cosine of the angle between two embeddings; -1 for NaN."""
    product = (_directions(expected) * _directions(got)).sum(axis=1)
    return tuple(np.nan_to_num(product, nan=-1.0).clip(-1, 1).tolist())


def nearest(values: Array) -> Array:
    """Return ``(N,)``: which other sample is nearest to each by cosine."""
    rows = _directions(values)
    found = np.empty(len(rows), np.int64)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        likeness = rows[start : start + _ROWS_AT_ONCE] @ rows.T
        own = np.arange(len(likeness))
        likeness[own, start + own] = -np.inf
        found[start : start + len(likeness)] = likeness.argmax(axis=1)
    return found


def is_constant(values: Array) -> bool:
    """Return whether ``(N, …)`` values are the same for all of several samples, up to rounding."""
    rows = values.reshape(len(values), -1)
    if len(rows) < 2 or not np.isfinite(rows).all():
        return False
    return bool(np.ptp(rows, axis=0).max() <= _ROUNDING * np.abs(rows).max())


def check_varies(values: Array, what: str, data: str) -> None:
    """Refuse ``(N, …)`` values that no comparison with could fail.

    Raises:
        RunnerError: they are the same for all images; the message says that of ``what``.
    """
    if is_constant(values):
        raise RunnerError(
            f"not compared: {what} is the same for all {len(values)} images of {data}, so no "
            "comparison could fail: give other pictures, and see whether the network is trained "
            "and fed what it expects"
        )


def _directions(values: Array) -> Array:
    """Return ``(N, size)`` float64 of length 1; zeros stay."""
    rows = values.reshape(len(values), -1).astype(np.float64)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    found: Array = rows / np.where(length == 0, 1, length)
    return found


def side_by_side(outputs: Sequence[Array]) -> Array:
    """Return all outputs that hold numbers as one, ``(N, values)``; a single one as it is."""
    if len(outputs) == 1:
        return outputs[0]
    numbers = [output for output in outputs if np.issubdtype(output.dtype, np.floating)]
    return np.concatenate([output.reshape(len(output), -1) for output in numbers], axis=1)
