"""Several benchmarks of one session: batch sizes and threads against each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from resnet_deploy.report.document import Cell, Section, Table, Verdict
from resnet_deploy.report.words import plural
from resnet_deploy.results import BenchmarkResult, BenchSamples


def _best(results: Sequence[BenchmarkResult]) -> dict[str, BenchSamples]:
    """Return the samples with most images per second of each subject, by its label."""
    best: dict[str, BenchSamples] = {}
    for result in results:
        for one in result.subjects:
            known = best.setdefault(one.subject.label, one)
            if one.images_per_second > known.images_per_second:
                best[one.subject.label] = one
    return best


def verdict(results: Sequence[BenchmarkResult]) -> Verdict:
    """Return where each subject does most images per second."""
    return Verdict("plain", "Compared", tuple(map(_where_best, _best(results).values())))


def _where_best(one: BenchSamples) -> str:
    instances = f"{one.subject.instances} instances of " * (one.subject.instances > 1)
    return (
        f"{one.subject.label}: most images per second ({one.images_per_second:.1f}) at batch size "
        f"{one.subject.batch_size}, {instances}{plural(one.subject.threads, 'thread')}"
    )


def section(results: Sequence[BenchmarkResult]) -> Section:
    """Return images per second and median latency of each subject in each configuration."""
    best = _best(results)
    table = Table.of(
        "All together",
        results,
        [
            ("batch", lambda result: str(result.subjects[0].subject.batch_size)),
            ("threads", _threads),
            *((f"{label}\nimages/s, p50 ms", _pair(label, best[label])) for label in best),
        ],
        words=2,
    )
    return Section("All together", (table,))


def _threads(result: BenchmarkResult) -> str:
    first = result.subjects[0].subject
    return f"{first.instances} x {first.threads}" if result.spec.throughput else str(first.threads)


def _pair(label: str, best: BenchSamples) -> Callable[[BenchmarkResult], Cell]:
    def cell(result: BenchmarkResult) -> Cell:
        found = next((one for one in result.subjects if one.subject.label == label), None)
        if found is None:
            return Cell("skipped", tone="dim")
        text = f"{found.images_per_second:.1f}, {found.p50_ms:.2f}"
        return Cell(text, tone="good" if found is best else "")

    return cell
