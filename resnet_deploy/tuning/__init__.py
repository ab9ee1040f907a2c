"""Looks for the fastest (or smallest) file, and the best way to run it, within an accuracy budget.

The search goes from what promises most to what promises least: how the file is made, how it is
run, and layers in float where nothing else keeps the budget. Every candidate is run for its
accuracy and timed alternately with one reference; the best so far is on disk after each of them.
The reference comes first, however long it takes, and what it takes is said before; all else is
stopped where the time limit ends. Accuracy is measured on as many images as the limit leaves time
for.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.claim import Claim
from resnet_deploy.data.calibration import CalibrationImages, calibration_images
from resnet_deploy.data.datasets import Data
from resnet_deploy.data.preprocess import input_preprocess
from resnet_deploy.deployment.source import check_source, with_first_card
from resnet_deploy.errors import DatasetError, SpecError
from resnet_deploy.fp32_baseline import Fp32Baseline, all_images
from resnet_deploy.progress import Progress, silent
from resnet_deploy.results import Environment, TuningReport
from resnet_deploy.runners.cpu import default_threads
from resnet_deploy.spec import ClusterSpec, TuneSpec
from resnet_deploy.tuning.candidate_files import CandidateFiles
from resnet_deploy.tuning.deadline import Deadline, probe
from resnet_deploy.tuning.search import Search, reference_seconds
from resnet_deploy.tuning.store import Store

logger = logging.getLogger(__name__)

_ACCURACY_SHARE = 0.25
"""Of the time limit that the accuracy of the first file may take: of every other one it takes less,
and there are twenty."""


def tune(
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
    """Look for the best file that loses no more than ``spec`` allows, and for how to run it.

    Args:
        source: the fp32 file.
        out: folder of the result: ``NAME.tuned.onnx``, ``tune.json`` and every file tried. A
            search that was interrupted goes on there.
        spec: what to look for.
        data: images on which accuracy is measured; labelled, if a drop in top-1 is bounded.
        calibration: images that set the int8 ranges; None takes some of ``data``, and measures
            accuracy on the others.
        cluster: where images are calibrated on and accuracy is measured; files are timed here.
        environment: where this runs.
        progress: told about every stage.

    Raises:
        ResnetDeployError: the file or the images can't be used, or another search is writing to
            ``out``. Candidates that can't run here are named in the report instead.
    """
    deadline = Deadline(progress, spec.time_limit, time.monotonic())
    with Claim(out) as claim:
        claim.take()
        request = opened_request(
            source, out, spec, data=data, calibration=calibration, environment=environment
        )
        request.store.make()
        return _searched(request, deadline, data=data, cluster=cluster)


@dataclass(frozen=True, kw_only=True)
class Request:
    """A search that was not refused, before anything is run or written.

    Args:
        source: the fp32 file, with a card.
        store: where the search is kept.
        images: on which accuracy can be measured.
        calibration: where those for the ranges come from, which are ``samples``.
        report: what is known so far: the trials of an earlier search for the same.
    """

    source: Artifact
    store: Store
    images: CalibrationImages
    calibration: Data
    samples: int
    report: TuningReport

    @property
    def threads(self) -> int:
        """How many a runner uses."""
        return self.report.spec.threads or default_threads()


def opened_request(
    source: Artifact,
    out: Path,
    spec: TuneSpec,
    *,
    data: Data,
    calibration: Data | None,
    environment: Environment,
) -> Request:
    """Return the search that the arguments, those of :func:`tune`, ask for.

    Raises:
        ResnetDeployError: the file or the images can't be used, or ``out`` holds something else.
    """
    path = source.path
    check_source(source)
    source = with_first_card(source)
    if not source.output_kind.has_classes:
        raise SpecError(
            f"tuning compares classes, and {path} gives {source.output_kind.value}: export it with "
            "--output logits"
        )
    store = Store(out, path.stem)
    images, calibration, samples = _images(source, data, calibration, spec)
    if spec.max_drop is not None and not images.dataset.labelled:
        raise DatasetError(
            f"--max-drop needs to know what is right, and {images.name} has no labels: give "
            "DIR/<class>/*.jpg, or use --min-agreement"
        )
    report = TuningReport(
        model=path.name,
        sha256=source.made_sha256,
        data=f"{images.name} (sha256 {images.fingerprint()[:12]})",
        spec=spec,
        environment=environment,
        shipped=str(store.best),
        preprocess=source.preprocess,
    )
    return Request(
        source=source,
        store=store,
        images=images,
        calibration=calibration,
        samples=samples,
        report=store.resume(report),
    )


def _searched(
    request: Request, deadline: Deadline, *, data: Data, cluster: ClusterSpec | None
) -> TuningReport:
    source, store, report = request.source, request.store, request.report
    images, spec, threads = request.images, report.spec, request.threads
    if report.trials:  # what is compared with them is measured on the same images
        images = replace(images, indices=images.indices[: report.trials[0].fidelity.samples])
    else:
        images, least = within_time(request)
        report = replace(report, least_seconds=least)
    baseline = Fp32Baseline(
        source,
        images,
        labelled=images.dataset.labelled,
        threads=threads,
        cluster=cluster,
        progress=deadline,
    )
    files = CandidateFiles(
        source=source,
        store=store,
        calibration=request.calibration,
        samples=request.samples,
        data=data,
        spec=spec,
        cluster=cluster,
        environment=report.environment,
        progress=deadline,
    )
    return Search(source, store, files, baseline, report, threads, deadline).run()


def within_time(request: Request) -> tuple[CalibrationImages, float]:
    """Return as many of ``images`` as there is time for, and what the first trial will take.

    Where that is more than the time limit, it is said before it begins.
    """
    images, calibrated = request.images, request.samples
    costs = probe(request.source, images, threads=request.threads)
    limit = request.report.spec.time_limit
    race = reference_seconds(limit)
    count = costs.images_within(_ACCURACY_SHARE * limit, len(images))
    least = costs.least(count, calibrated=calibrated, race=race)
    if least > limit:
        logger.warning(
            "the default int8 file comes first, and takes about %.0f s here (calibration on %d "
            "images, accuracy on %d, one race): more than the time limit of %g s",
            least,
            calibrated,
            count,
            limit,
        )
    return replace(images, indices=images.indices[:count]), least


def _images(
    source: Artifact, data: Data, calibration: Data | None, spec: TuneSpec
) -> tuple[CalibrationImages, Data, int]:
    """Return the images for accuracy, where those for the ranges come from, and how many of them.

    No image is in both.
    """
    preprocess = input_preprocess(source)
    images = all_images(data, preprocess, seed=spec.seed)
    samples = spec.calibration_samples
    if calibration is None:
        calibration, samples = data, max(1, min(samples, len(images) // 2))
    taken = calibration_images(calibration, preprocess, samples=samples, seed=spec.seed)
    indices = images.indices
    if taken.dataset.fingerprint() == images.dataset.fingerprint():
        used = set(taken.indices)
        indices = tuple(index for index in indices if index not in used)
    if not indices:
        raise DatasetError(
            f"{images.name} has no image that is not needed for calibration: give more, or other "
            "ones with --calibration"
        )
    return replace(images, indices=indices[: spec.samples]), calibration, samples
