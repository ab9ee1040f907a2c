"""Whether recorded answers are those of the network, and what a self-test that has them tells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.bundles.golden import Answer, GoldenCase, answers
from resnet_deploy.bundles.runtime import Runtime
from resnet_deploy.errors import RunnerError, SpecError
from resnet_deploy.spec import INT8_TOLERANCE, BundleRuntime, Optimization, OutputKind

_LEAST_DB: Final = INT8_TOLERANCE.min_sqnr_db or 0.0
"""Of what differs between pictures, measured on five int8 files of ResNet-18, -20, -34 and -50.

Both runtimes have 24 dB and more on a CPU with VNNI, OpenVINO without it 10 to 12 dB. Of the whole
score saturation leaves up to 21 dB, as most of a score is the same for every picture.
"""

_OTHER_NETWORK_DB: Final = 6.0
"""Of what differs between pictures: noise of half its size, which int8 files do not come near."""

_COARSE: Final = 1e-3
"""Tolerances above it are those of half precision, where noise is what is bounded."""

_OTHER: Final = "its answers can't be recorded as right; take --runtime ort"
_SATURATED: Final = (
    "its answers here can't be recorded as right. An x86 CPU without VNNI saturates when it adds "
    "int8 products: make the bundle on a CPU with VNNI, or take --runtime ort and a file exported "
    "without --allow-overflow"
)


def check_answers(
    artifact: Artifact,
    cases: Sequence[GoldenCase],
    runtimes: Sequence[Runtime],
    rows: Sequence[Sequence[Answer]],
    tolerances: Sequence[float],
) -> None:
    """Refuse answers that no one should be held to.

    ``rows`` and ``tolerances`` are those of ``runtimes``. Answers in int8 and of OpenVINO are
    compared with those of ONNX Runtime without optimisations, which computes quantized operators in
    float, one by one, so that nothing saturates.

    Raises:
        RunnerError: a runtime answers something else.
    """
    is_int8 = artifact.precision == "int8"
    if artifact.output_kind is OutputKind.TOP_K:
        return
    reference = None
    for runtime, row, bound in zip(runtimes, rows, tolerances, strict=True):
        if not (is_int8 or runtime.kind is BundleRuntime.OPENVINO):
            continue
        if reference is None:
            reference = answers(artifact, cases, optimization=Optimization.OFF)
        for values, right in zip(_by_output(row), _by_output(reference), strict=True):
            # Where all pictures get one answer, noise has nothing to be compared with.
            decibels = math.inf if _is_same(right, bound) else _decibels(values, right)
            if decibels < _LEAST_DB:
                raise RunnerError(
                    f"{artifact.path} on {runtime.title} is {decibels:.1f} dB above the noise of "
                    f"its own operators computed one by one, and {_LEAST_DB:.0f} dB is the least: "
                    f"{_SATURATED if is_int8 else _OTHER}"
                )
            off = _relative(values, right)
            exact = bound < _COARSE and (not is_int8 or decibels == math.inf)
            if exact and off > bound:
                raise RunnerError(
                    f"{artifact.path} on {runtime.title} is off by {off:.2g} of the largest value "
                    f"from its own operators computed one by one, and {bound:g} is the most: "
                    f"{_SATURATED if is_int8 else _OTHER}"
                )


def untold(row: Sequence[Answer], bound: float) -> str:
    """Return what a self-test by ``row`` can't tell, in a sentence; empty where it can.

    Where every picture gets one answer, within the tolerance ``bound``, that of a broken network
    would pass as well.
    """
    if not all(_is_same(values, bound) for values in _by_output(row)):
        return ""
    return (
        f"the network answers the same to all {len(row)} golden pictures, so the self-test "
        "compares inputs, but can't tell a broken network by its answers: add real pictures with "
        "--data, if it does tell those apart"
    )


def check_is_same_network(
    alternative: Artifact, artifact: Artifact, row: Sequence[Answer], expected: Sequence[Answer]
) -> None:
    """Refuse an alternative that answers ``row`` where ``artifact`` answers ``expected``.

    Raises:
        SpecError: it does not follow it: a page that takes the faster one would change its mind.
    """
    for values, right in zip(_by_output(row), _by_output(expected), strict=True):
        found = _decibels(values, right)
        if found < _OTHER_NETWORK_DB:
            raise SpecError(
                f"--alternative {alternative.path} answers something else than {artifact.path} to "
                f"the golden pictures ({found:.1f} dB above the noise): name the same network in "
                "another precision"
            )


def _by_output(row: Sequence[Answer]) -> list[NDArray[np.float64]]:
    """Return for each output its values, ``(cases, N)``."""
    return [
        np.stack([np.asarray(values, dtype=np.float64).reshape(-1) for values in outputs])
        for outputs in zip(*(answer.outputs for answer in row), strict=True)
    ]


def _is_same(values: NDArray[np.float64], bound: float) -> bool:
    """Return whether the answer to any case would pass as that to any other."""
    return float(np.ptp(values, axis=0).max()) <= bound * float(abs(values).max(axis=1).min())


def _decibels(values: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    noise = float(np.square(values - right).sum())
    signal = float(np.square(right - right.mean(axis=0)).sum())
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def _relative(values: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    largest = abs(right).max(axis=1)
    off = abs(values - right).max(axis=1)
    return float(np.divide(off, largest, where=largest > 0, out=np.zeros_like(off)).max())
