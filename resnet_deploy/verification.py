"""Proves that a file computes what its reference computes.

Every comparison is made on ONNX Runtime with all optimisations and with none, at several batch
sizes: optimisers, fused kernels and exporters have all been seen to change answers, and each of
these cases alone would have hidden it.

A little long: the cases of one comparison are read in one piece.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.made_for import is_for_openvino, warn_on_onnxruntime
from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import opened_file
from resnet_deploy.data.calibration import calibration_images, synthetic_calibration
from resnet_deploy.data.datasets import Data
from resnet_deploy.data.formats import convert
from resnet_deploy.errors import RunnerError, SpecError
from resnet_deploy.graph.layers import layers_of
from resnet_deploy.progress import Progress, phase, silent
from resnet_deploy.reference import Reference
from resnet_deploy.results import Environment, OutputDiff, ParityCase, ParityReport
from resnet_deploy.runners.base import filled, infer_every
from resnet_deploy.runners.compare import difference
from resnet_deploy.runners.likeness import Expected
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.runners.registry import open_runner, runner_status
from resnet_deploy.spec import (
    ENOUGH_FOR_AGREEMENT,
    FP16_MIN_AGREEMENT,
    FP16_TOLERANCE,
    FP32_TOLERANCE,
    INT8_MIN_AGREEMENT,
    INT8_TOLERANCE,
    NOTHING_TOLD,
    InputContract,
    Optimization,
    OutputKind,
    SessionSpec,
    Told,
    Tolerance,
)

BATCH_SIZES = (1, 2, 5)
"""One image, the exporter's own example batch, and a size that was not traced; each gets images of
its own."""

FP32_PROBABILITIES = replace(FP32_TOLERANCE, max_relative=1e-4)
"""Softmax makes a relative difference of probabilities from an absolute one of logits, which are
often 10 to 30."""

FP16_PROBABILITIES = replace(FP16_TOLERANCE, max_relative=0.1)
"""Likewise: a logit of 30 that is 1 % off moves a probability near a half by 7.5 %."""

_HALVES = ("fp16", "bf16")

MOST_IMAGES = 128
"""How many real images are compared when a file is made: top-1 agreement is a statistic."""


def compare(
    path: Path | Artifact,
    reference: Reference,
    images: Array,
    *,
    data: str,
    meaningful: bool,
    tolerance: Tolerance | None = None,
    per_layer: bool = False,
    told: Told = NOTHING_TOLD,
    threads: int = 0,
    environment: Environment | None = None,
    progress: Progress = silent,
) -> ParityReport:
    """Compare the file at ``path``, or what was opened of it, with ``reference`` on ``images``.

    ``images`` are prepared as the file's card says; ``data`` is what the report calls them. Their
    top-1 is ``meaningful`` for a trained net on real images: synthetic images and untrained nets
    give near ties, which any rounding decides. ``tolerance`` is by default that of the file's
    precision. ``per_layer`` compares every layer as well, in graph order. ``told`` is what
    the user says of the file.

    Raises:
        RunnerError: there is nothing to compare, as the reference gives every image the same, or
            the shapes of the outputs differ.
    """
    if len(images) == 0:
        raise RunnerError("there is nothing to compare: give at least one image")
    artifact = opened_file(path, told)
    elsewhere = _runs_elsewhere(artifact)
    if not elsewhere:
        warn_on_onnxruntime(artifact)
    tolerance = tolerance or default_tolerance(artifact, len(images), meaningful=meaningful)
    plan = _plan(artifact, len(images))
    with phase(progress, "asking the reference"):
        expected = right_outputs(artifact.preprocess, reference, images)
    right = Expected(artifact, expected, data)
    cases: list[ParityCase] = []
    progress("verifying", 0, len(plan) + elsewhere)
    turns = [("ort", *turn) for turn in _turns(plan)]
    if elsewhere:  # last: its figures are those of the file
        turns.append(("openvino", Optimization.ALL, [plan[-1]]))
    for name, optimization, sizes in turns:
        session = SessionSpec(threads=threads, optimization=optimization, spin=False)
        with closing(open_runner(name, artifact.plain, session)) as runner:
            infer = partial(infer_every, runner)
            for case in sizes:
                got = _batched(infer, images[case.chosen], case.batch_size)
                found = right.likeness(got, case.chosen)
                cases.append(
                    ParityCase(
                        reference=reference.name,
                        candidate=f"{artifact.path.name} on {name}",
                        batch_size=case.batch_size,
                        optimization=optimization.value,
                        outputs=found.outputs,
                        top1_equal=found.top1_equal,
                        tolerance=_tolerance_of_case(tolerance, len(case.chosen), len(images)),
                        answer=found.answer,
                        answers_equal=found.answers_equal,
                        cosines=found.cosines,
                        not_compared=right.not_compared,
                    )
                )
                progress("verifying", len(cases), len(plan) + elsewhere)
    layers: tuple[OutputDiff, ...] = ()
    if per_layer:
        size = artifact.input.shape[0] or BATCH_SIZES[-1]
        some = filled(images[:size], artifact.input.shape[0] or 1)
        with phase(progress, "comparing layers"):
            layers = compare_layers(artifact, reference, some, threads=threads)
    return ParityReport(
        model=str(artifact.path),
        data=data,
        cases=tuple(cases),
        layers=layers,
        environment=environment,
    )


@dataclass(frozen=True)
class VerificationImages:
    """Prepared images to compare on, and what the data are called.

    ``real``: they are not synthetic ones. ``calibrated``: int8 ranges were set by the same images,
    which fit them better than others.
    """

    images: Array
    data: str
    real: bool
    calibrated: bool


def verification_images(
    data: Data | None,
    preprocess: InputContract,
    *,
    seed: int = 0,
    samples: int = MOST_IMAGES,
    calibrated: Collection[int] = (),
) -> VerificationImages:
    """Return images of ``data`` to compare on, or synthetic ones without data.

    Those at the indices ``calibrated``, which set int8 ranges, are left out where enough others
    remain.

    Raises:
        DatasetError: the images can't be read.
    """
    if preprocess.resize_in_graph:
        raise SpecError(
            "a file that resizes images itself can't be fed prepared images: verify the one that "
            "export writes without --resize-in-graph"
        )
    # Another seed than calibration's: ranges always fit the images they were taken from.
    seen: set[int] = set()
    if data is None:
        images = synthetic_calibration(preprocess, samples=sum(BATCH_SIZES), seed=seed + 1)
    else:
        most = samples + len(calibrated)
        images = calibration_images(data, preprocess, samples=most, seed=seed + 1)
        seen.update(calibrated)
        others = tuple(index for index in images.indices if index not in seen)
        enough = len(others) >= ENOUGH_FOR_AGREEMENT
        images = replace(images, indices=(others if enough else images.indices)[:samples])
    return VerificationImages(
        images=np.concatenate(list(images)),
        data=images.name,
        real=not images.synthetic,
        calibrated=not images.synthetic and not seen.isdisjoint(images.indices),
    )


def default_tolerance(artifact: Artifact, samples: int, *, meaningful: bool) -> Tolerance:
    """Return the tolerance for the file's precision.

    Which image is nearest is no check: of two that are equally near, rounding decides. Nor are the
    labels of int8, of which some are always at the threshold.
    """
    kind = artifact.output_kind
    loose = (OutputKind.EMBEDDING, OutputKind.MULTI_LABEL)
    enough = meaningful and samples >= ENOUGH_FOR_AGREEMENT and kind not in loose
    if artifact.precision in _HALVES:
        half = FP16_PROBABILITIES if artifact.gives_probabilities else FP16_TOLERANCE
        if artifact.precision == "bf16":  # with three bits fewer
            half = replace(half, min_sqnr_db=None)
        return replace(half, min_agreement=FP16_MIN_AGREEMENT) if enough else half
    if not artifact.quantized:
        fp32 = FP32_PROBABILITIES if artifact.gives_probabilities else FP32_TOLERANCE
        return replace(fp32, min_agreement=None) if kind is OutputKind.EMBEDDING else fp32
    return replace(INT8_TOLERANCE, min_agreement=INT8_MIN_AGREEMENT) if enough else INT8_TOLERANCE


def compare_layers(
    artifact: Artifact, reference: Reference, images: Array, *, threads: int = 0
) -> tuple[OutputDiff, ...]:
    """Compare every layer that both sides have, in graph order.

    An int8 file runs with all optimisations, so that its real kernels are seen; an fp32 file
    with none, because fused operators have no results of their own.

    Raises:
        RunnerError: the two have no layer in common.
    """
    layers = layers_of(read_model(artifact.plain))
    expected = reference.layer_values(_converted(images, artifact.preprocess, reference), layers)
    common = [layer for layer in layers if layer.name in expected]
    if not common:
        raise RunnerError(
            f"{artifact.path} and {reference.name} have no layer in common: compare a file with "
            "the one it was made from"
        )
    optimization = Optimization.ALL if artifact.quantized else Optimization.OFF
    session = SessionSpec(threads=threads, optimization=optimization, spin=False)
    with closing(OrtRunner(artifact.plain, session)) as runner:
        observed = runner.trace(images, [layer.observed for layer in common])
    return tuple(
        difference(layer.name, layer.within_range(expected[layer.name]), layer.value(observed))
        for layer in common
    )


def right_outputs(
    prepared: InputContract, reference: Reference, images: Array
) -> tuple[Array, ...]:
    """Return every output that ``reference`` gives for ``images``, ``prepared`` for a file.

    The batches are always the same, so that a reference that remembers is asked once.
    """
    return _batched(reference.outputs, _converted(images, prepared, reference), BATCH_SIZES[-1])


def _converted(images: Array, prepared: InputContract, reference: Reference) -> Array:
    """Return ``images``, ``prepared`` for a file, as ``reference`` takes them."""
    return convert(images, prepared, replace(prepared, format=reference.format))


def _tolerance_of_case(tolerance: Tolerance, samples: int, all_samples: int) -> Tolerance:
    """A share of agreement needs all samples; full agreement can be required of any number."""
    if tolerance.min_agreement in (None, 1.0) or samples == all_samples:
        return tolerance
    return replace(tolerance, min_agreement=None)


class _Case(NamedTuple):
    optimization: Optimization
    batch_size: int
    chosen: list[int]
    """Which of the images."""


def _plan(artifact: Artifact, count: int) -> list[_Case]:
    """Return the cases, those of a session one after the other.

    With more images than the batch sizes need, one more case compares them all.
    """
    fixed = artifact.input.shape[0]
    sizes = BATCH_SIZES if fixed is None else (fixed,)
    plan = []
    for optimization in (Optimization.OFF, Optimization.ALL):
        start = 0
        for size in sizes:
            plan.append(_Case(optimization, size, [(start + i) % count for i in range(size)]))
            start += size
    if count > sum(sizes):
        plan.append(_Case(Optimization.ALL, sizes[-1], list(range(count))))
    return plan


def _turns(plan: list[_Case]) -> list[tuple[Optimization, list[_Case]]]:
    """Return the cases of ``plan`` by session."""
    return [(key, list(cases)) for key, cases in groupby(plan, lambda case: case.optimization)]


def _runs_elsewhere(artifact: Artifact) -> bool:
    """Whether the file is laid out for OpenVINO, which is installed: it has the last word."""
    return is_for_openvino(artifact) and any(
        status.name == "openvino" and status.installed for status in runner_status()
    )


def _batched(
    infer: Callable[[Array], tuple[Array, ...]], images: Array, batch_size: int
) -> tuple[Array, ...]:
    """Return every output for all ``images``, ``batch_size`` at a time."""
    starts = range(0, len(images), batch_size)
    pieces = [infer(images[start : start + batch_size]) for start in starts]
    return tuple(np.concatenate(parts) for parts in zip(*pieces, strict=True))
