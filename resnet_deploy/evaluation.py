"""Accuracy of a model on a labelled dataset, and how far it is from another model.

It is one verb, and a little long: the paired comparison reads what the single one keeps.
"""

from __future__ import annotations

import functools
import logging
import operator
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.card import Accuracy
from resnet_deploy.artifact.made_for import warn_on_onnxruntime
from resnet_deploy.artifact.onnx_file import opened_file
from resnet_deploy.data.datasets import Dataset
from resnet_deploy.data.labels import has_background, match_classes, output_names
from resnet_deploy.data.loader import image_name
from resnet_deploy.data.preprocess import input_preprocess
from resnet_deploy.data.sampling import in_order
from resnet_deploy.errors import DatasetError, RunnerError, SpecError
from resnet_deploy.progress import ImageStage, Progress, silent
from resnet_deploy.results import Agreement, EvalResult, OutputDiff
from resnet_deploy.results.throughput import Spent, Throughput
from resnet_deploy.runners.answering import ONE_CORE, answers_to
from resnet_deploy.runners.base import Runner
from resnet_deploy.runners.classes import check_has_classes, class_scores, listed_classes
from resnet_deploy.runners.compare import difference
from resnet_deploy.runners.cpu import default_threads
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import NOTHING_TOLD, ClusterSpec, InputContract, SessionSpec, Told

logger = logging.getLogger(__name__)

Logits = NDArray[np.float64]

_BATCH_PIXELS = 8 * 224 * 224
_LARGEST_BATCH = 32


def score(
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
) -> EvalResult:
    """Classify the images of ``dataset`` with the model at ``path`` and count what is right.

    Args:
        path: the ONNX file to evaluate, or what was opened of it.
        dataset: labelled images.
        against: another model; it sees the same images, prepared as its own card says.
        told: what the user says of both files.
        threads: how many images are decoded, prepared and run at a time, each on one core; 0 means
            the physical cores allowed here.
        cluster: where images are decoded, prepared and run instead.
        batch_size: images per run; None means :func:`fast_batch_size`.
        limit: take that many images, spread evenly over the classes, the same ones every time.
        skip_bad: leave out images that can't be read instead of stopping; the result names them.
        progress: told after each batch.

    Raises:
        ArtifactError, RunnerError: a model can't be read or run, or gives NaN.
        UnsupportedGraphError: a model does not take RGB images in float32, or gives features.
        DatasetError: no labels, an unreadable image (or, with ``skip_bad``, no readable one),
            or classes that don't fit the model.
        SpecError: ``limit`` or ``batch_size`` is not positive, or the two models' classes differ.
    """
    check_positive(batch_size, limit)
    if not dataset.labelled:
        raise DatasetError(
            f"{dataset.name} has no labels, so there is no accuracy: give class folders "
            "(DIR/<class>/*.jpg) or, with --labels-file, a labels file"
        )
    indices = in_order(dataset, limit)
    data = f"{dataset.name} (sha256 {dataset.fingerprint()[:12]})"
    left_out: list[tuple[str, DatasetError]] = []

    def leave_out(index: int, error: DatasetError) -> None:
        left_out.append((image_name(dataset, index), error))
        logger.info("left out: %s", error)

    truth: list[int] = []
    start = time.perf_counter()
    with ExitStack() as stack:
        subjects = [
            stack.enter_context(closing(_Subject(opened_file(each, told), dataset)))
            for each in ([path] if against is None else [path, against])
        ]
        model, reference = subjects[0], None if against is None else subjects[1]
        if reference is not None:
            _check_same_classes(model, reference)
        compared: list[OutputDiff] = []

        workers = workers_for(threads)
        spent, running = Spent(), time.perf_counter()
        answered = answers_to(
            dataset,
            indices,
            [(subject.artifact, subject.runner) for subject in subjects],
            class_scores,
            batch_size=batch_size or fast_batch_size(model.artifact),
            workers=workers,
            cluster=cluster,
            leave_out=leave_out if skip_bad else None,
        )
        for mapped in stack.enter_context(closing(answered)):
            labels = [dataset.label(index) for index in mapped.indices]
            logits = [
                subject.remember(subject.logits(scores, mapped.indices), labels)
                for subject, scores in zip(subjects, mapped.value, strict=True)
            ]
            if reference is not None:
                compared.append(difference("logits", logits[1], logits[0]))
            truth += labels
            spent += mapped.spent
            progress(ImageStage("evaluating"), len(truth) + len(left_out), len(indices))
        taken = time.perf_counter() - running
        logger.info("%s", Throughput(spent=spent, seconds=taken, workers=workers))
    if not truth:
        raise DatasetError(
            f"not one of the {len(indices)} images of {dataset.name} can be read; the first: "
            f"{left_out[0][1] if left_out else 'there are none'}"
        )
    if left_out:
        unread = {dataset.label(index) for index in indices} - set(truth)
        for label in sorted(unread):
            logger.warning("not one image of class %s can be read", dataset.classes[label])
    return EvalResult(
        model=model.artifact.path.name,
        sha256=model.artifact.sha256,
        ranks=tuple(model.ranks),
        predicted=tuple(model.predicted),
        confidences=tuple(model.confidences),
        listed=listed_classes(model.artifact),
        data=data,
        seconds=time.perf_counter() - start,
        classes=model.classes,
        truth=tuple(truth),
        skipped=tuple(name for name, _ in left_out),
        preprocess=model.preprocess,
        untrained=model.artifact.untrained,
        against=None if reference is None else _agreement(model, reference, compared),
    )


def check_positive(batch_size: int | None, limit: int | None) -> None:
    """Refuse what takes no images.

    Raises:
        SpecError: a number is given, and not positive.
    """
    if any(number is not None and number < 1 for number in (batch_size, limit)):
        raise SpecError(f"batch size ({batch_size}) and limit ({limit}) must be positive")


def workers_for(threads: int) -> int:
    """Return how many threads share the images; 0 are the physical cores allowed here.

    Raises:
        SpecError: ``threads`` is negative.
    """
    return SessionSpec(threads=threads).threads or default_threads()


def fast_batch_size(artifact: Artifact) -> int:
    """Return how many images one core runs ``artifact`` on at once, fastest or nearly so.

    Activations of more would not stay in its caches; fewer ask too often. A file of a fixed batch
    size takes that.
    """
    fitting = _BATCH_PIXELS // artifact.preprocess.pixels
    return artifact.input.shape[0] or max(1, min(_LARGEST_BATCH, fitting))


def accuracy_of(result: EvalResult, dataset: Dataset) -> Accuracy:
    """Return what a card says of ``result``, which was measured on ``dataset``."""
    return Accuracy(
        data=dataset.name,
        samples=result.samples,
        top1=round(result.top1, 6),
        top5=None if result.top5 is None else round(result.top5, 6),
        of=len(dataset),
        data_sha256=dataset.fingerprint(),
    )


def matched_outputs(artifact: Artifact, dataset: Dataset, outputs: int) -> tuple[int, ...]:
    """Return which of the ``outputs`` of ``artifact`` each class of ``dataset`` is.

    Raises:
        DatasetError: the classes don't fit the model.
    """
    if not artifact.class_names and has_background((), outputs):
        logger.warning(
            "%s names no classes: its 1001 outputs are taken for the background and then "
            "ImageNet's 1000, as TensorFlow's nets have them",
            artifact.path.name,
        )
    try:
        return match_classes(dataset.classes, artifact.class_names, outputs)
    except DatasetError as error:
        raise DatasetError(f"{artifact.path.name} on {dataset.name}: {error}") from error


def check_finite(artifact: Artifact, logits: Logits, image: Callable[[int], str]) -> None:
    """Refuse ``logits`` ``(N, classes)`` with NaN or infinity; ``image(i)`` is what row i is of.

    Raises:
        RunnerError: there are some.
    """
    broken = ~np.isfinite(logits).all(axis=1)
    if broken.any():
        raise RunnerError(
            f"{artifact.path} gives NaN or infinity for {image(int(broken.argmax()))}: its weights "
            "or its quantization are broken"
        )


def class_names(artifact: Artifact, outputs: int) -> tuple[str, ...]:
    """Return what to call each output: as the file does, or else by ImageNet's names.

    The outputs of a file without names are called ``class 7``, unless they are a thousand, or
    1001, and trained: nearly all of those are ImageNet's.
    """
    names = artifact.class_names
    if not artifact.untrained:
        names = output_names(names, outputs)
    return (*names, *(f"class {index}" for index in range(len(names), outputs)))


class _Subject:
    """An open model, which of its outputs each class is, and its answers so far.

    Classes are those of the dataset, in its order, then the outputs that are none of them:
    ``order[c]`` is the output of class c; the first ``matched`` ones are the dataset's.
    """

    def __init__(self, artifact: Artifact, dataset: Dataset) -> None:
        self.artifact = artifact
        check_has_classes(artifact)
        warn_on_onnxruntime(artifact)
        self.preprocess: InputContract = input_preprocess(self.artifact)
        self.ranks: list[int] = []
        self.predicted: list[int] = []
        self.confidences: list[float] = []
        self._dataset = dataset
        self.runner: Runner = OrtRunner(artifact.plain, ONE_CORE)
        # One empty image tells the number of classes, which the file need not declare, and
        # finds a model that can't run before thousands of images are read.
        shape = (1, *self.preprocess.shape)
        blank = np.zeros(shape, self.artifact.input.dtype)
        outputs = class_scores(self.artifact, self.runner, blank).shape[1]
        matched = matched_outputs(artifact, dataset, outputs)
        self.matched = len(matched)
        rest = sorted(set(range(outputs)) - set(matched))
        self.order = np.array([*matched, *rest], dtype=np.int64)
        # Backwards, so that of two folders that are one class (Cat and cat) the first counts.
        self._class_of = np.zeros(outputs, dtype=np.int64)
        self._class_of[self.order[::-1]] = np.arange(len(self.order))[::-1]
        names = class_names(self.artifact, outputs)
        self.classes: tuple[str, ...] = (*dataset.classes, *(names[output] for output in rest))

    def close(self) -> None:
        """Free the model."""
        self.runner.close()

    def logits(self, scores: Array, indices: Sequence[int]) -> Logits:
        """Return ``scores`` of the images ``indices``, if all are numbers."""
        logits = scores.astype(np.float64)
        check_finite(self.artifact, logits, lambda i: image_name(self._dataset, indices[i]))
        return logits

    def remember(self, logits: Logits, labels: Sequence[int]) -> Logits:
        """Count the answers ``logits`` to images of classes ``labels``.

        Returns:
            the logits ``(N, classes)`` in the order of :attr:`classes`.
        """
        self.ranks += ranks(logits, self.order[labels])
        self.predicted += self._class_of[logits.argmax(axis=1)].tolist()
        self.confidences += confidences(logits, probabilities=self.artifact.gives_probabilities)
        return logits[:, self.order]


def ranks(logits: Logits, truth: NDArray[np.int64]) -> list[int]:
    """Return the rank of class ``truth[i]`` among ``logits[i]`` of ``(N, classes)``, 0 on top.

    Of equal logits the lower class index ranks higher, as ``argmax`` has it.
    """
    own = logits[np.arange(len(logits)), truth][:, None]
    before = np.arange(logits.shape[1])[None, :] < truth[:, None]
    ahead = (logits > own) | ((logits == own) & before)
    return [int(count) for count in ahead.sum(axis=1)]


def confidences(logits: Logits, *, probabilities: bool) -> list[float]:
    """Return the probability of the top class of each row of ``(N, classes)``, to 6 decimals.

    That is its softmax, or the value itself when the model gives ``probabilities``.
    """
    top = (logits if probabilities else softmax(logits)).max(axis=1)
    return [round(float(value), 6) for value in top]


def softmax(logits: Logits) -> Logits:
    """Return probabilities ``(..., classes)`` of logits ``(..., classes)``."""
    # Subtracting the maximum changes nothing but keeps exp() from overflowing.
    powers: Logits = np.exp(logits - logits.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def _agreement(model: _Subject, reference: _Subject, logits: Iterable[OutputDiff]) -> Agreement:
    """Return what ``reference`` said, and how far the ``logits`` of each batch are from it."""
    total = functools.reduce(OutputDiff.merge, logits)
    return Agreement(
        model=reference.artifact.path.name,
        sha256=reference.artifact.sha256,
        ranks=tuple(reference.ranks),
        predicted=tuple(reference.predicted),
        confidences=tuple(reference.confidences),
        listed=listed_classes(reference.artifact),
        top1_equal=tuple(map(operator.eq, model.predicted, reference.predicted)),
        signal_power=total.signal_power,
        noise_power=total.noise_power,
    )


def _check_same_classes(model: _Subject, reference: _Subject) -> None:
    names = [subject.artifact.path.name for subject in (model, reference)]
    if len(model.order) != len(reference.order):
        raise SpecError(
            f"{names[0]} has {len(model.order)} classes, {names[1]} has "
            f"{len(reference.order)}: only models of the same classes can be compared"
        )
    matched = model.matched
    if matched < len(model.order) and (model.order != reference.order).any():
        raise SpecError(
            f"{names[0]} and {names[1]} order their classes differently, and the data has only "
            f"{matched} of {len(model.order)} to match them by: evaluate each without --against"
        )
