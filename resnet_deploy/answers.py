"""What labels and embeddings are worth on images, and how far they are from another model's."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.onnx_file import opened_file
from resnet_deploy.data.datasets import Dataset
from resnet_deploy.data.loader import image_name
from resnet_deploy.data.sampling import in_order
from resnet_deploy.errors import DatasetError, SpecError, UnsupportedGraphError
from resnet_deploy.evaluation import (
    check_finite,
    check_positive,
    fast_batch_size,
    matched_outputs,
    workers_for,
)
from resnet_deploy.progress import ImageStage, Progress, silent
from resnet_deploy.results import AnswerAgreement, AnswerResult, LabelCounts
from resnet_deploy.results.throughput import Spent, Throughput
from resnet_deploy.runners.answering import ONE_CORE, answers_to
from resnet_deploy.runners.base import Runner, infer_any
from resnet_deploy.runners.classes import rows_of
from resnet_deploy.runners.compare import cosines, decisions, difference, is_constant, nearest
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import NOTHING_TOLD, ClusterSpec, OutputKind, Told

logger = logging.getLogger(__name__)

_FEWEST_NEIGHBOURS = 3
"""Of two images each is the other's nearest, whatever happens."""


def score_answers(
    path: Path | Artifact,
    dataset: Dataset,
    *,
    against: Path | Artifact | None = None,
    told: Told = NOTHING_TOLD,
    threads: int = 0,
    cluster: ClusterSpec | None = None,
    batch_size: int | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
    progress: Progress = silent,
) -> AnswerResult:
    """Return what the labels or the embeddings of the model at ``path`` are worth on ``dataset``.

    An image has the label of its class and no other. Arguments are those of ``evaluation.score``;
    ``against`` alone needs no labelled images.

    Raises:
        ArtifactError, RunnerError: a model can't be read or run, or gives NaN.
        UnsupportedGraphError: a model gives neither, or does not take RGB images.
        DatasetError: an image can't be read, or nothing says what is right.
        SpecError: a number is not positive, or the two models give something else.
    """
    check_positive(batch_size, limit)
    artifacts = [opened_file(each, told) for each in (path, against) if each is not None]
    model = artifacts[0]
    _check(artifacts)
    if against is None and not dataset.labelled:
        raise DatasetError(
            f"{dataset.name} has no labels, so nothing is right or wrong: give class folders "
            "(DIR/<class>/*.jpg), or another model with --against"
        )
    start = time.perf_counter()
    indices = in_order(dataset, limit)
    skipped: list[str] = []

    def leave_out(index: int, error: DatasetError) -> None:
        skipped.append(image_name(dataset, index))
        logger.info("left out: %s", error)

    pieces: list[list[Array]] = [[] for _ in artifacts]
    read: list[int] = []
    with ExitStack() as stack:
        runners = [
            stack.enter_context(closing(OrtRunner(artifact.plain, ONE_CORE)))
            for artifact in artifacts
        ]

        workers = workers_for(threads)
        spent, running = Spent(), time.perf_counter()
        answered = answers_to(
            dataset,
            indices,
            list(zip(artifacts, runners, strict=True)),
            _rows,
            batch_size=batch_size or fast_batch_size(model),
            workers=workers,
            cluster=cluster,
            leave_out=leave_out if skip_bad else None,
        )
        for mapped in stack.enter_context(closing(answered)):
            names = [image_name(dataset, index) for index in mapped.indices]
            for artifact, values in zip(artifacts, mapped.value, strict=True):
                check_finite(artifact, values.astype(np.float64), names.__getitem__)
            for kept, values in zip(pieces, mapped.value, strict=True):
                kept.append(values)
            read += mapped.indices
            spent += mapped.spent
            progress(ImageStage("evaluating"), len(read) + len(skipped), len(indices))
        taken = time.perf_counter() - running
        logger.info("%s", Throughput(spent=spent, seconds=taken, workers=workers))
    if not read:
        raise DatasetError(f"not one of the {len(indices)} images of {dataset.name} can be read")
    answers = [np.concatenate(kept) for kept in pieces]
    left: list[str] = []
    truth = np.array([dataset.label(index) for index in read]) if dataset.labelled else None
    labels: tuple[LabelCounts, ...] = ()
    right: tuple[bool, ...] = ()
    if is_constant(answers[0]):
        left.append(f"right and wrong, as all {len(read)} images get the same")
    elif truth is None:
        left.append("right and wrong, as the images have no labels")
    elif len(set(truth)) == 1:
        left.append("right and wrong, as all images are of one class")
    elif model.output_kind is OutputKind.MULTI_LABEL:
        labels = _labels(model, dataset, answers[0], truth, left, required=against is None)
    elif len(read) >= _FEWEST_NEIGHBOURS:
        right = tuple((truth[nearest(answers[0])] == truth).tolist())
    return AnswerResult(
        model=model.path.name,
        sha256=model.sha256,
        output_kind=model.output_kind.value,
        data=f"{dataset.name} (sha256 {dataset.fingerprint()[:12]})",
        samples=len(read),
        seconds=time.perf_counter() - start,
        labels=labels,
        neighbours_right=right,
        against=None if against is None else _agreement(artifacts, answers, left),
        not_compared=tuple(left),
        skipped=tuple(skipped),
    )


def average_precision(scores: Array, has: Array) -> float | None:
    """Return the average precision of ``scores`` ``(N,)`` for the images that ``has`` is true of.

    None where no image has the label, or every one: the order of scores says nothing then.
    """
    count = int(has.sum())
    if count in (0, len(has)):
        return None
    hits = has[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


def _rows(artifact: Artifact, runner: Runner, batch: Array) -> Array:
    return rows_of(artifact, infer_any(runner, batch))


def _check(artifacts: Sequence[Artifact]) -> None:
    kinds = [artifact.output_kind for artifact in artifacts]
    if kinds[0] not in (OutputKind.MULTI_LABEL, OutputKind.EMBEDDING):
        raise UnsupportedGraphError(
            f"{artifacts[0].path} gives {kinds[0].value}: there is nothing to be right or wrong "
            "about; verify compares it with another file"
        )
    if len(set(kinds)) > 1:
        raise SpecError(
            f"{artifacts[0].path.name} gives {kinds[0].word}, {artifacts[1].path.name} "
            f"{kinds[1].word}: say with --output-kind what both give"
        )


def _labels(
    model: Artifact,
    dataset: Dataset,
    scores: Array,
    truth: Array,
    left: list[str],
    *,
    required: bool,
) -> tuple[LabelCounts, ...]:
    """Return the counts of each label that images have; none where names don't fit."""
    try:
        outputs = matched_outputs(model, dataset, scores.shape[1])
    except DatasetError as error:
        if required:
            raise
        left.append(f"right and wrong ({error})")
        return ()
    given = decisions(model, scores)
    return tuple(
        LabelCounts(
            name=name,
            true_positives=int((given[:, output] & (truth == label)).sum()),
            false_positives=int((given[:, output] & (truth != label)).sum()),
            false_negatives=int((~given[:, output] & (truth == label)).sum()),
            average_precision=average_precision(scores[:, output], truth == label),
        )
        for label, (name, output) in enumerate(zip(dataset.classes, outputs, strict=True))
    )


def _agreement(
    artifacts: Sequence[Artifact], answers: Sequence[Array], left: list[str]
) -> AnswerAgreement:
    model, other = artifacts
    found = difference(model.output.name, answers[1], answers[0])
    same: Array = np.array([], bool)
    alike: tuple[float, ...] = ()
    if is_constant(answers[1]):
        left.append(f"the same answers, as {other.path.name} gives all images the same")
    elif model.output_kind is OutputKind.MULTI_LABEL:
        ours, theirs = decisions(model, answers[0]), decisions(other, answers[1])
        same = (ours == theirs)[ours | theirs]
        if not same.size:
            left.append("labels, as neither gives any")
    else:
        alike = cosines(answers[1], answers[0])
        if len(answers[0]) >= _FEWEST_NEIGHBOURS:
            same = nearest(answers[1]) == nearest(answers[0])
        else:
            left.append(f"nearest images, as there are only {len(answers[0])}")
    return AnswerAgreement(
        model=other.path.name,
        sha256=other.sha256,
        answers_equal=tuple(same.tolist()),
        signal_power=found.signal_power,
        noise_power=found.noise_power,
        cosines=alike,
    )
