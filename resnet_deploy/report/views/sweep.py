"""Several benchmarks of one session: batch sizes and threads against each other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from resnet_deploy.report.document import Cell, Section, Table, Verdict
from resnet_deploy.report.words import plural
from resnet_deploy.results import BenchmarkResult, BenchSamples
from resnet_deploy.visible import visible_line


def verdict(results: Sequence[BenchmarkResult]) -> Verdict:
    """Return where each subject does most images per second."""
    sentences = tuple(
        f"{label}: most images per second ({samples.images_per_second:.1f}) at batch size "
        f"{samples.subject.batch_size}, "
        + f"{samples.subject.instances} instances of " * (samples.subject.instances > 1)
        + plural(samples.subject.threads, "thread")
        for label, samples in _best(results).items()
    )
    return Verdict("plain", "Compared", sentences)


def section(results: Sequence[BenchmarkResult]) -> Section:
    """Return images per second and median latency of each subject in each configuration."""
    best = _best(results)

    def cell(label: str, result: BenchmarkResult) -> Cell:
        samples = next((s for s in result.subjects if s.subject.label == label), None)
        if samples is None:
            return Cell("skipped", tone="dim")
        text = f"{samples.images_per_second:.1f}, {samples.p50_ms:.2f}"
        return Cell(text, tone="good" if samples is best[label] else "")

    table = Table.of(
        "All together",
        results,
        [
            ("batch", lambda result: str(result.subjects[0].subject.batch_size)),
            ("threads", _threads),
            *((f"{visible_line(label)}\nimages/s, p50 ms", partial(cell, label)) for label in best),
        ],
        words=2,
    )
    return Section("All together", (table,))


def _best(results: Sequence[BenchmarkResult]) -> dict[str, BenchSamples]:
    """Return the samples with most images per second of each subject, by its label."""
    best: dict[str, BenchSamples] = {}
    for samples in (samples for result in results for samples in result.subjects):
        known = best.setdefault(samples.subject.label, samples)
        if samples.images_per_second > known.images_per_second:
            best[samples.subject.label] = samples
    return best


def _threads(result: BenchmarkResult) -> str:
    first = result.subjects[0].subject
    return f"{first.instances} x {first.threads}" if result.spec.throughput else str(first.threads)
