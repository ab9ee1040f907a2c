"""Accuracy of a model on a labelled dataset, and how far it is from another model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.artifact import Artifact, load
from resnet_deploy.data.datasets import Dataset
from resnet_deploy.data.labels import match_classes
from resnet_deploy.data.loader import prepared_batches
from resnet_deploy.data.preprocess import input_preprocess
from resnet_deploy.data.sampling import spread_sample
from resnet_deploy.errors import DatasetError, RunnerError, SpecError
from resnet_deploy.progress import Progress, silent
from resnet_deploy.results import Agreement, EvalResult
from resnet_deploy.runtime.base import Runner, infer_any
from resnet_deploy.runtime.ort_runner import OrtRunner
from resnet_deploy.spec import Preprocess, SessionSpec

Logits = NDArray[np.float64]


def score(
    path: Path,
    dataset: Dataset,
    *,
    against: Path | None = None,
    threads: int = 0,
    batch_size: int = 32,
    limit: int | None = None,
    progress: Progress = silent,
) -> EvalResult:
    """Classify the images of ``dataset`` with the model at ``path`` and count what is right.

    ``limit`` takes that many images, spread evenly over the classes, the same ones every time.
    The model ``against`` sees the same images, prepared as its own card says.

    Raises:
        ArtifactError, RunnerError: a model can't be read or run, or gives NaN.
        UnsupportedGraphError: a model does not take RGB pictures in float32.
        DatasetError: no labels, an unreadable image, or classes that don't fit the model.
        SpecError: ``limit`` or ``batch_size`` is not positive.
    """
    if batch_size < 1 or (limit is not None and limit < 1):
        raise SpecError(f"batch size ({batch_size}) and limit ({limit}) must be positive")
    if not dataset.labelled:
        raise DatasetError(
            f"{dataset.name} has no labels, so there is no accuracy: give class folders "
            "(DIR/<class>/*.jpg) or a labels file"
        )
    indices = _indices(dataset, limit)
    truth = np.array([dataset.label(i) for i in indices], dtype=np.int64)
    start = time.perf_counter()
    with ExitStack() as stack:
        model, *others = [
            stack.enter_context(closing(_Subject(each, dataset, threads)))
            for each in ([path] if against is None else [path, against])
        ]
        other = others[0] if others else None
        comparison = None if other is None else _Comparison(model, other)
        done = 0
        for rows, inputs in _batches(dataset, indices, [model, *others], batch_size):
            logits = [
                subject.run(batch, truth[rows])
                for subject, batch in zip([model, *others], inputs, strict=True)
            ]
            if comparison is not None:
                comparison.add(*logits)
            done += len(logits[0])
            progress("evaluating", done, len(indices))
    return EvalResult(
        model=path.name,
        sha256=model.artifact.sha256,
        data=f"{dataset.name} (sha256 {dataset.fingerprint()[:12]})",
        ranks=tuple(model.ranks),
        seconds=time.perf_counter() - start,
        against=None if comparison is None else comparison.result(),
    )


def _indices(dataset: Dataset, limit: int | None) -> tuple[int, ...]:
    if limit is None or limit >= len(dataset):
        return tuple(range(len(dataset)))
    return tuple(sorted(spread_sample(dataset, limit, seed=0)))


def _batches(
    dataset: Dataset, indices: tuple[int, ...], subjects: list[_Subject], batch_size: int
) -> Iterator[tuple[slice, tuple[NDArray[np.float32], ...]]]:
    """Yield which samples a batch holds, and its input for each subject."""
    specs = [subject.preprocess for subject in subjects]
    first = 0
    for batch in prepared_batches(dataset, indices, specs, batch_size=batch_size):
        last = first + len(batch.indices)
        yield slice(first, last), batch.inputs
        first = last


class _Subject:
    """An open model, the output each class of the data is, and the ranks found so far."""

    def __init__(self, path: Path, dataset: Dataset, threads: int) -> None:
        self.artifact: Artifact = load(path)
        self.preprocess: Preprocess = input_preprocess(self.artifact)
        self.ranks: list[int] = []
        self._runner: Runner = OrtRunner(path, SessionSpec(threads=threads, spin=False))
        # One empty picture tells the number of classes, which the file need not declare, and
        # finds a model that can't run before thousands of images are read.
        size = self.preprocess.crop
        blank = np.zeros((1, 3, size, size), dtype=np.float32)
        self.num_classes = _flat(infer_any(self._runner, blank)).shape[1]
        labels = self.artifact.card.labels if self.artifact.card else ()
        try:
            matched = match_classes(dataset.classes, labels, self.num_classes)
        except DatasetError as error:
            raise DatasetError(f"{path.name} on {dataset.name}: {error}") from error
        self._outputs = np.array(matched, dtype=np.int64)

    def close(self) -> None:
        """Free the model."""
        self._runner.close()

    def run(self, batch: NDArray[np.float32], truth: NDArray[np.int64]) -> Logits:
        """Return the logits of ``batch``, and remember the ranks of the true classes."""
        logits = _flat(infer_any(self._runner, batch))
        if not np.isfinite(logits).all():
            raise RunnerError(
                f"{self.artifact.path} gives NaN or infinity for one of images "
                f"{len(self.ranks) + 1} to {len(self.ranks) + len(batch)}: its weights or its "
                "quantization are broken"
            )
        self.ranks += ranks(logits, self._outputs[truth])
        return logits


def ranks(logits: Logits, truth: NDArray[np.int64]) -> list[int]:
    """Return the rank of class ``truth[i]`` among ``logits[i]`` of ``(N, classes)``, 0 on top.

    Of equal logits the lower class index ranks higher, as ``argmax`` has it.
    """
    own = logits[np.arange(len(logits)), truth][:, None]
    before = np.arange(logits.shape[1])[None, :] < truth[:, None]
    ahead = (logits > own) | ((logits == own) & before)
    return [int(count) for count in ahead.sum(axis=1)]


@dataclass
class _Comparison:
    """Sums up how far the logits of ``model`` are from those of ``reference``."""

    model: _Subject
    reference: _Subject
    top1_equal: list[bool] = field(default_factory=list)
    signal_power: float = 0.0
    noise_power: float = 0.0

    def __post_init__(self) -> None:
        if self.model.num_classes != self.reference.num_classes:
            raise SpecError(
                f"{self.model.artifact.path.name} has {self.model.num_classes} classes, "
                f"{self.reference.artifact.path.name} has {self.reference.num_classes}: only "
                "models of the same classes can be compared"
            )

    def add(self, logits: Logits, reference: Logits) -> None:
        """Compare the logits of one batch."""
        self.top1_equal += [bool(x) for x in logits.argmax(axis=1) == reference.argmax(axis=1)]
        self.signal_power += float(np.square(reference).sum())
        self.noise_power += float(np.square(logits - reference).sum())

    def result(self) -> Agreement:
        """Return everything that was compared."""
        return Agreement(
            model=self.reference.artifact.path.name,
            sha256=self.reference.artifact.sha256,
            ranks=tuple(self.reference.ranks),
            top1_equal=tuple(self.top1_equal),
            signal_power=self.signal_power,
            noise_power=self.noise_power,
        )


def _flat(logits: NDArray[np.float32]) -> Logits:
    """Return ``(N, classes)``: some models keep the 1x1 of their last pooling."""
    return logits.reshape(len(logits), -1).astype(np.float64)
