"""Proves that a file computes on every CPU what it computes on this one.

ONNX Runtime picks its kernels by CPUID, and the int8 kernels of CPUs without VNNI saturate: a file
that is right here can be wrong there. So the kernels of the other CPUs run here, emulated.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.onnx_file import opened_file
from resnet_deploy.errors import ArtifactError, MissingDependencyError, RunnerError, SpecError
from resnet_deploy.isa.emulated import EmulatedLogits, emulate
from resnet_deploy.isa.instruction_sets import Isa, is_native, isa_named
from resnet_deploy.isa.tools import find_tools
from resnet_deploy.models.network import Network
from resnet_deploy.progress import Progress, phase, silent
from resnet_deploy.reference import Reference, reference_for
from resnet_deploy.results import Environment, IsaReport, IsaRun
from resnet_deploy.runners.base import filled
from resnet_deploy.runners.compare import check_varies, difference, same_class, side_by_side
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import NOTHING_TOLD, OutputKind, SessionSpec, Told, Tolerance
from resnet_deploy.verification import BATCH_SIZES, default_tolerance

logger = logging.getLogger(__name__)

ISA_MIN_AGREEMENT = 0.999
"""Top-1 agreement of another CPU with this one, required of trained nets on real images."""


def runnable_isas(names: Sequence[str]) -> tuple[Isa, ...]:
    """Return the instruction sets called ``names``, all of which can run here now.

    Raises:
        SpecError: none are named, there is no such ISA, or it can't run on this machine.
        MissingDependencyError: the emulator was not fetched; the message says how.
    """
    isas = tuple(isa_named(name) for name in dict.fromkeys(names))
    if not isas:
        raise SpecError("no ISA is named: give --isa x86-avx2, arm64 or both")
    for isa in isas:
        if not is_native(isa):
            find_tools(isa)
    return isas


def compare_isas(
    path: Path | Artifact,
    isas: Sequence[Isa],
    images: Array,
    *,
    data: str,
    tolerance: Tolerance,
    reference: Reference | None = None,
    told: Told = NOTHING_TOLD,
    threads: int = 0,
    environment: Environment | None = None,
    progress: Progress = silent,
) -> IsaReport:
    """Run the file at ``path`` on the kernels of ``isas`` and on this CPU.

    Args:
        path: fp32 or int8 ONNX file, or what was opened of it.
        isas: what :func:`runnable_isas` returned.
        images: preprocessed, float32 ``(N, C, H, W)``.
        data: where the images come from, for the report.
        tolerance: how far an ISA may be from this CPU.
        reference: what has the right answer; its figures are reported without a verdict.
        told: what the user says of the file.
        threads: 0 means the physical cores allowed here.
        environment: recorded in the report.
        progress: called after every emulated batch.

    Raises:
        RunnerError: there is nothing to compare, the file answers the same to all images, or it
            does not run on an ISA.
    """
    if len(images) == 0:
        raise RunnerError("there is nothing to compare: give at least one image")
    artifact = opened_file(path, told)
    batch_size = artifact.input.shape[0] or BATCH_SIZES[-1]
    session = SessionSpec(threads=threads, spin=False)
    with phase(progress, "running here"), closing(OrtRunner(artifact.plain, session)) as runner:
        here = _values(runner.infer_all, images, batch_size)
    check_varies(here, f"the answer of {artifact.path.name}", data)
    right = None
    if reference is not None:
        with phase(progress, "asking the reference"):
            right = _values(reference.outputs, images, batch_size)
    runs = []
    for isa in isas:
        if is_native(isa):
            there = EmulatedLogits(logits=here, emulator=None, seconds=0.0, cached=False)
        else:
            there = emulate(
                isa,
                artifact.plain,
                images,
                batch_size=batch_size,
                threads=threads,
                progress=progress,
            )
        runs.append(_compared(isa, artifact, here, there, right, tolerance))
    return IsaReport(
        model=str(artifact.path),
        data=data,
        runs=tuple(runs),
        reference=None if reference is None else reference.name,
        environment=environment,
    )


def isas_of(report: IsaReport) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return on which instruction sets the file proved right, and on which it failed."""
    return report.proven, tuple(run.isa for run in report.runs if run.failures)


def isa_tolerance(artifact: Artifact, samples: int, *, meaningful: bool) -> Tolerance:
    """Return how far an ISA may be from this CPU: as far as the file from its reference.

    Where the top-1 is ``meaningful``, a trained net on real images, it must agree too. A float16
    file is computed in float16 on some CPUs and in float32 on others, so there it is the agreement
    with fp32 that is asked for.
    """
    tolerance = default_tolerance(artifact, samples, meaningful=meaningful)
    if artifact.precision == "fp16":
        return tolerance
    return replace(tolerance, min_agreement=ISA_MIN_AGREEMENT) if meaningful else tolerance


def optional_reference(
    artifact: Artifact,
    against: Network | Path | None,
    *,
    factory: str | None = None,
    threads: int = 0,
) -> Reference | None:
    """Return what has the right answer; None where it is neither named nor found.

    Raises:
        ResnetDeployError: the file ``against`` can't be read, or is of another network.
    """
    try:
        return reference_for(artifact, against, factory=factory, threads=threads)
    except (ArtifactError, MissingDependencyError) as error:
        if against is not None:
            raise
        logger.info("compared with this CPU only: %s", error)
        return None


def _compared(
    isa: Isa,
    artifact: Artifact,
    here: Array,
    there: EmulatedLogits,
    right: Array | None,
    tolerance: Tolerance,
) -> IsaRun:
    """Compare the outputs of ``there`` with those of ``here``, and with the ``right`` ones."""
    name = ", ".join(spec.name for spec in artifact.outputs)
    # Classes of a top-K file are not numbers to compare; where two are a tie they swap places.
    kind = artifact.output_kind
    by_class = kind.has_classes and kind is not OutputKind.TOP_K
    logits = difference(name, here, there.logits)
    same = same_class(artifact, (here,), (there.logits,)) if by_class else ()
    reference = None if right is None else difference(name, right, there.logits)
    reference_same: tuple[bool, ...] = ()
    if right is not None and by_class:
        reference_same = same_class(artifact, (right,), (there.logits,))
    return IsaRun(
        isa=isa.name,
        emulator=there.emulator,
        seconds=there.seconds,
        cached=there.cached,
        logits=logits,
        identical_samples=sum(
            ours.tobytes() == theirs.tobytes()
            for ours, theirs in zip(here, there.logits, strict=True)
        ),
        top1_equal=same,
        tolerance=tolerance,
        reference=reference,
        reference_top1_equal=reference_same,
    )


def _values(infer: Callable[[Array], tuple[Array, ...]], images: Array, batch_size: int) -> Array:
    """Return all outputs side by side, from the same batches as the emulated CPU sees."""
    whole = filled(images, batch_size)
    pieces = [
        side_by_side(infer(whole[start : start + batch_size]))
        for start in range(0, len(whole), batch_size)
    ]
    return np.concatenate(pieces)[: len(images)]
