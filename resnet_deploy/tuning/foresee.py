"""What a search would do: all that can be refused is, a few images run, and nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.claim import Claim
from resnet_deploy.artifact.files import check_folder
from resnet_deploy.artifact.model_file import bytes_of, read_model
from resnet_deploy.data.calibration import calibration_batch_size
from resnet_deploy.data.datasets import Data
from resnet_deploy.deployment.foresee import (
    MEANING,
    Measured,
    activation_bytes,
    calibration_memory,
    int8_bytes,
    memory_basis,
)
from resnet_deploy.progress import Progress, phase, silent
from resnet_deploy.quantization.kernels import resolve_target
from resnet_deploy.results import Environment, TuningReport
from resnet_deploy.results.preview import PlannedFile, PlannedPhase, Preview, between
from resnet_deploy.runners.cpu import has_float16
from resnet_deploy.spec import ClusterSpec, TargetIsa, TuneSpec
from resnet_deploy.tuning import Request, opened_request, within_time
from resnet_deploy.tuning.space import first_file, main_files, more_files

_AROUND = (0.5, 2.0)
"""How far an estimate from a few images is off."""

_EVIDENCE_BYTES = (20_000, 500_000)


def foresee(
    source: Artifact,
    out: Path,
    spec: TuneSpec,
    *,
    data: Data,
    calibration: Data | None = None,
    cluster: ClusterSpec | None = None,
    environment: Environment,
    progress: Progress = silent,
) -> TuningReport:
    """Return what ``tune`` would do with the same arguments, as the ``preview`` of no trials.

    Raises:
        ResnetDeployError: ``tune`` would refuse it before its work.
    """
    check_folder(out)
    with Claim(out) as claim:
        claim.take_if_there()
        request = opened_request(
            source, out, spec, data=data, calibration=calibration, environment=environment
        )
    with phase(progress, "timing an image"):
        images, least = within_time(request)
    costs = Measured(
        prepared=0.0,
        run=0.0,
        weights=bytes_of(request.source.plain),
        activations=activation_bytes(read_model(request.source.plain)),
    )
    batch = calibration_batch_size(images.preprocess)
    files = list(_candidates(request))
    done = len(request.report.trials)
    notices: tuple[str, ...] = (MEANING,)
    notices += (f"{done} trials of an earlier search are taken up",) if done else ()
    if cluster is not None:
        notices += ("the times are those of this machine alone: the cluster was not asked",)
    first = PlannedPhase(
        name="the default int8 file",
        seconds=(0.0, 0.0) if done else between(least, _AROUND),
        basis=f"accuracy on {len(images)} images, calibration on {request.samples}; reading and "
        "running one measured",
    )
    rest = PlannedPhase(
        name=f"{len(files)} other files and ways to run them",
        seconds=(0.0, max(0.0, spec.time_limit - first.seconds[0])),
        basis=f"as many as --time-limit, {spec.time_limit:g} s, leaves time for",
    )
    return replace(
        request.report,
        trials=(),
        least_seconds=least,
        preview=Preview(
            files=tuple(_files(request, out, costs, len(files) + 1)),
            phases=(first, rest),
            memory_bytes=calibration_memory(costs, batch, best=True),
            memory_basis=memory_basis(costs),
            available_bytes=psutil.virtual_memory().available,
            notices=notices,
        ),
    )


def _candidates(request: Request) -> Iterator[str]:
    """Yield the names of the files that may be made after the first one."""
    report, own = request.report, request.source.preprocess.format
    target, keep = resolve_target(TargetIsa.AUTO, report.environment.isa), report.spec.keep_input
    first = first_file(own, target).name
    half = has_float16(report.environment.isa)
    main = main_files(own, target, keep_input=keep, half=half)
    for options in (*main, *more_files(own, target, keep_input=keep)):
        if options.name != first:
            yield options.name


def _files(request: Request, out: Path, costs: Measured, trials: int) -> Iterator[PlannedFile]:
    store, small = request.store, int8_bytes(costs.weights)
    largest = round(1.03 * costs.weights) + 100_000
    for path, size in (
        (store.best, (small[0], largest)),
        (store.evidence, _EVIDENCE_BYTES),
    ):
        yield PlannedFile(path=str(path), bytes=size, replaces=path.exists())
    yield PlannedFile(
        path=str(out / "trials" / "*.onnx"),
        bytes=(small[0], small[1] * trials + 2 * largest),
        replaces=False,
    )
