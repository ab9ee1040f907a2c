"""How close another file, or another runtime, is to the fp32 file on the same images."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.data.calibration import CalibrationImages
from resnet_deploy.data.datasets import Data, opened
from resnet_deploy.data.formats import convert
from resnet_deploy.data.sampling import spread_sample
from resnet_deploy.evaluation import matched_outputs
from resnet_deploy.progress import ImageStage, Progress, silent
from resnet_deploy.results import Fidelity
from resnet_deploy.results.accuracy import paired_top1
from resnet_deploy.runners.answering import AnswerJob, Opening, answers_on_cluster
from resnet_deploy.runners.base import Runner
from resnet_deploy.runners.classes import class_scores
from resnet_deploy.runners.compare import check_varies, difference_and_top1
from resnet_deploy.runners.cpu import default_threads
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import ClusterSpec, InputContract, SessionSpec

KEPT_BYTES = 512 << 20
"""Preprocessed images up to this size are decoded once, more are decoded every time."""

_BATCH_SIZE = 32


def all_images(data: Data, preprocess: InputContract, *, seed: int) -> CalibrationImages:
    """Return all images of ``data``, in an order whose start has every class.

    Raises:
        DatasetError: the dataset can't be read.
    """
    dataset = opened(data)
    return CalibrationImages(
        dataset=dataset,
        indices=spread_sample(dataset, len(dataset), seed),
        preprocess=preprocess,
        batch_size=_BATCH_SIZE,
    )


class Fp32Baseline:
    """The fp32 file's logits on some images, which other files are compared with.

    ``fp32`` is run on ``images`` once; if ``labelled``, files are compared with their labels too.
    Preprocessed images of up to ``kept_bytes`` in all stay in memory. On a ``cluster``, its workers
    prepare them and run the files, in the same batches. ``progress`` is told after each batch, here
    and in :meth:`fidelity`.

    Raises:
        DatasetError: an image can't be read, or the classes don't fit the model.
        RunnerError: ONNX Runtime can't run the file, or it answers the same to all images.
    """

    def __init__(
        self,
        fp32: Artifact,
        images: CalibrationImages,
        *,
        labelled: bool,
        threads: int = 0,
        cluster: ClusterSpec | None = None,
        kept_bytes: int = KEPT_BYTES,
        progress: Progress = silent,
    ) -> None:
        self.data = images.name
        self.samples = len(images)
        self._progress = progress
        self._artifact = fp32
        self._images = images
        self._threads, self._cluster = threads or default_threads(), cluster
        self._batches: Iterable[Array] = images
        keep = self.samples * images.preprocess.values * 4 <= kept_bytes
        if cluster is None and keep:
            self._batches = tuple(images)
        session = quiet_session(self._threads)
        with closing(OrtRunner(fp32.plain, session)) as runner:
            opening = Opening(artifact=fp32, path=fp32.plain, session=session)
            self._expected = self._logits(runner, opening)
        check_varies(self._expected, f"the answer of {fp32.path.name}", self.data)
        self._truth: Array | None = None
        if labelled:
            outputs = matched_outputs(self._artifact, images.dataset, self._expected.shape[1])
            labels = [images.dataset.label(index) for index in images.indices]
            self._truth = np.array(outputs)[labels]

    def first(self, count: int) -> Array:
        """Return an image ``count`` times, as the fp32 file takes it."""
        return np.repeat(next(iter(self._batches))[:1], count, axis=0)

    def fidelity(
        self, runner: Runner, path: Path, session: SessionSpec, artifact: Artifact | None = None
    ) -> Fidelity:
        """Return how close what ``runner`` has open is to the fp32 file on ONNX Runtime.

        It is the file at ``path``, opened with ``session``, and gives the same classes;
        ``artifact`` is what is known of it if it takes another input.
        """
        artifact = artifact or self._artifact
        opening = Opening(artifact=artifact, path=path, runner=runner.name, session=session)
        logits = self._logits(runner, opening)
        paired, right = None, None
        if self._truth is not None:
            hits = logits.argmax(axis=1) == self._truth
            expected = self._expected.argmax(axis=1) == self._truth
            paired = paired_top1(hits.tolist(), expected.tolist())
            right = int(hits.sum())
        found, same = difference_and_top1("logits", self._expected, logits)
        return Fidelity(
            data=self.data,
            samples=self.samples,
            agreeing=sum(same),
            signal_power=found.signal_power,
            noise_power=found.noise_power,
            paired=paired,
            right=right,
        )

    def _logits(self, runner: Runner, opening: Opening) -> Array:
        pieces: list[Array] = []
        done = 0
        with closing(self._answered(runner, opening)) as answered:
            for scores in answered:
                pieces.append(scores)
                done += len(scores)
                self._progress(ImageStage("evaluating"), done, self.samples)
        return np.concatenate(pieces)

    def _answered(self, runner: Runner, opening: Opening) -> Generator[Array, None, None]:
        """Yield the scores of one batch after the other."""
        own = self._artifact.preprocess
        if self._cluster is None:
            for batch in self._batches:
                yield _scores(own, opening.artifact, runner, batch)
            return
        for mapped in answers_on_cluster(
            self._images.dataset,
            self._images.indices,
            AnswerJob.of([opening], partial(_scores, own), [self._images.preprocess]),
            self._cluster,
            batch_size=self._images.batch_size,
            threads=self._threads,
        ):
            yield mapped.value[0]


def _scores(own: InputContract, artifact: Artifact, runner: Runner, batch: Array) -> Array:
    """Return what a file says to a batch that was prepared as ``own`` says."""
    return class_scores(artifact, runner, convert(batch, own, artifact.preprocess))


def quiet_session(threads: int) -> SessionSpec:
    """Return how files are opened whose turns alternate in one process.

    Threads of one file that wait actively would take the cores from those of the other.
    """
    return SessionSpec(threads=threads, spin=False)
