"""Several benchmarks of one session as one table: batch sizes and threads against each other."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from resnet_deploy.results import BenchmarkResult, BenchSamples


def render_sweep(results: Sequence[BenchmarkResult]) -> Group:
    """Return images per second and median latency of each subject in each configuration."""
    table = Table(box=box.SIMPLE_HEAD, title="All together", title_justify="left", pad_edge=False)
    for header in ("batch", "threads"):
        table.add_column(header, justify="right", no_wrap=True)
    labels = list(dict.fromkeys(one.subject.label for one in _all(results)))
    for label in labels:
        table.add_column(f"{label}\nimages/s, p50 ms", justify="right")
    best = _best(results)
    for result in results:
        found = {one.subject.label: one for one in result.subjects}
        first = result.subjects[0].subject
        cells = [
            _cell(found[label], best=found[label] in best) if label in found else Text("skipped")
            for label in labels
        ]
        instances = f"{first.instances} x " if result.spec.throughput else ""
        table.add_row(str(first.batch_size), f"{instances}{first.threads}", *cells)
    return Group(table, *(Text(f"  {one}", style="bold") for one in sentences(results)))


def sentences(results: Sequence[BenchmarkResult]) -> list[str]:
    """Return where each subject does most images per second."""
    lines = []
    for one in _best(results):
        subject = one.subject
        instances = f"{subject.instances} instances of " if subject.instances > 1 else ""
        threads = f"{subject.threads} thread" + ("s" if subject.threads > 1 else "")
        lines.append(
            f"{subject.label}: most images per second ({one.images_per_second:.1f}) at batch size "
            f"{subject.batch_size}, {instances}{threads}"
        )
    return lines


def _all(results: Sequence[BenchmarkResult]) -> list[BenchSamples]:
    return [one for result in results for one in result.subjects]


def _best(results: Sequence[BenchmarkResult]) -> list[BenchSamples]:
    """Return the samples with most images per second of each subject."""
    best: dict[str, BenchSamples] = {}
    for one in _all(results):
        known = best.get(one.subject.label)
        if known is None or one.images_per_second > known.images_per_second:
            best[one.subject.label] = one
    return list(best.values())


def _cell(one: BenchSamples, *, best: bool) -> Text:
    text = f"{one.images_per_second:.1f}, {one.p50_ms:.2f}"
    return Text(text, style="bold green" if best else "")
