"""A benchmark as a page: how long runs take, how many times as fast, and at what cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from resnet_deploy.report.bench import verdict, warnings
from resnet_deploy.report.html.charts.distribution import Series, distributions
from resnet_deploy.report.html.charts.forest import Estimate, forest
from resnet_deploy.report.html.operator_times import profile_section
from resnet_deploy.report.html.page import (
    Block,
    Figure,
    Notes,
    Page,
    Section,
    Table,
    Tile,
    Verdict,
    render_page,
)
from resnet_deploy.report.html.words import (
    decibels,
    file_name,
    megabytes,
    milliseconds,
    plural,
    times,
)
from resnet_deploy.results import BenchmarkResult, BenchSamples, Ratio

_MOST_TILES = 8


def benchmark_page(results: Sequence[BenchmarkResult]) -> str:
    """Return one page for all ``results``, which differ in batch size, threads or instances."""
    first = results[0]
    files = dict.fromkeys(file_name(one.subject.model) for one in first.subjects)
    sections = [section for one in results for section in _sections(one, alone=len(results) == 1)]
    page = Page(
        topic="Benchmark",
        title=", ".join(files),
        verdict=_verdict(results),
        tiles=tuple(_tile(one) for one in first.subjects[:_MOST_TILES]),
        sections=tuple(sections),
        environment=first.environment,
    )
    return render_page(page)


def _verdict(results: Sequence[BenchmarkResult]) -> Verdict:
    found = [
        sentence if len(results) == 1 else f"{_setting(one)}: {sentence}"
        for one in results
        for sentence in verdict(one)
    ]
    if not found:
        return Verdict(
            status="plain", word="Measured", sentences=("One subject: nothing to compare with.",)
        )
    ratios = [ratio for one in results for ratio in one.ratios]
    faster = all(ratio.differs and ratio.median > 1 for ratio in ratios)
    slower = all(ratio.differs and ratio.median < 1 for ratio in ratios)
    word = "Faster" if faster else "Slower" if slower else "Compared"
    status = {"Faster": "good", "Slower": "bad"}.get(word, "plain")
    return Verdict(
        status=status, word=word, sentences=tuple(f"{one[0].upper()}{one[1:]}." for one in found)
    )


def _tile(one: BenchSamples) -> Tile:
    return Tile(
        name=one.subject.label,
        value=milliseconds(one.p50_ms),
        detail=f"median; fastest {milliseconds(one.min_ms)}",
    )


def _sections(result: BenchmarkResult, *, alone: bool) -> list[Section]:
    suffix = "" if alone else f", {_setting(result)}"
    found = [Section(title=f"Latency{suffix}", blocks=_latency(result))]
    if result.ratios:
        found.append(Section(title=f"How many times as fast{suffix}", blocks=_ratios(result)))
    found += [
        profile_section(one, title=f"Where the time goes: {one.subject}{suffix}")
        for one in result.profiles
    ]
    return [*found, Section(title=f"Cost and method{suffix}", blocks=_cost(result))]


def _latency(result: BenchmarkResult) -> tuple[Block, ...]:
    rows = [
        Series(
            label=one.subject.label,
            values=tuple(ns / 1e6 for one_round in one.rounds_ns for ns in one_round),
            text=f"{milliseconds(one.p50_ms)} median",
        )
        for one in result.subjects
    ]
    chart = distributions(
        rows,
        title="Latency of each run",
        description="; ".join(f"{row.label}: {row.text}" for row in rows),
        axis="milliseconds per run",
    )
    caption = (
        "Each dot is one run; above the box, how densely they lie. The box holds the middle half, "
        "the thick line is the median, the thin one goes from 1 % to 99 %. Further left is faster."
    )
    table = Table(
        caption=f"Latency at {_setting(result)}",
        columns=("Subject", "Fastest", "Median", "90 %", "99 %", "Images per second"),
        rows=tuple(
            (
                one.subject.label,
                *map(milliseconds, (one.min_ms, one.p50_ms, one.p90_ms, one.p99_ms)),
                f"{one.images_per_second:,.1f}",
            )
            for one in result.subjects
        ),
    )
    cautions = tuple(warnings(result))
    notes = (Notes(lines=cautions, caution=True),) if cautions else ()
    throughput = _throughput(result)
    heading = "Latency while all instances run" if throughput else ""
    figure = Figure(heading=heading, chart=chart, caption=caption)
    return *throughput, figure, *notes, table


def _throughput(result: BenchmarkResult) -> tuple[Figure, ...]:
    """Return what all instances of a subject did together, where that was measured."""
    rows = [
        Series(
            label=one.subject.label,
            values=one.images_per_slice,
            text=f"{one.images_per_second:,.1f} images/s",
        )
        for one in result.subjects
        if one.images_per_slice
    ]
    if not rows:
        return ()
    chart = distributions(
        rows,
        title="Throughput of all instances together",
        description="; ".join(f"{row.label}: {row.text}" for row in rows),
        axis="images per second",
    )
    caption = "Each dot is one slice of time. Further right is more."
    return (Figure(heading="Throughput", chart=chart, caption=caption),)


def _ratios(result: BenchmarkResult) -> tuple[Block, ...]:
    rows = [
        Estimate(
            label=f"{one.subject} against {one.reference}",
            value=one.median,
            low=one.low,
            high=one.high,
            text=times(one.median),
            dots=one.rounds,
            style=_style(one),
        )
        for one in result.ratios
    ]
    shares = " or ".join(
        f"{100 * one:.0f} %" for one in sorted({r.confidence for r in result.ratios})
    )
    chart = forest(
        rows,
        title="Paired ratios with their intervals",
        description="; ".join(f"{row.label}: {row.text}" for row in rows),
        axis="times as fast",
        reference=1.0,
        log=True,
    )
    caption = (
        f"The median and its {shares} interval; each small dot is one round. Where the "
        "interval crosses the dashed line at 1, no difference can be told."
    )
    table = Table(
        caption="Paired ratios, round by round",
        columns=("Subject", "Reference", "Median", "Interval", "Of the fastest"),
        words=2,
        rows=tuple(
            (one.subject, one.reference, times(one.median), _interval(one), times(one.minima))
            for one in result.ratios
        ),
    )
    return Figure(chart=chart, caption=caption), table


def _style(ratio: Ratio) -> str:
    if not ratio.differs:
        return "muted"
    return "good" if ratio.median > 1 else "bad"


def _interval(ratio: Ratio) -> str:
    if not math.isfinite(ratio.high):
        return "too few rounds"
    return f"{ratio.low:.2f} to {ratio.high:.2f} ({100 * ratio.confidence:.0f} %)"


def _cost(result: BenchmarkResult) -> tuple[Block, ...]:
    rounds = result.subjects[0].rounds_ns
    table = Table(
        caption="What each subject costs, and how close its output is to the first one's",
        columns=("Subject", "File", "Precision", "Size", "Load", "First run", "Memory", "Output"),
        words=3,
        rows=tuple(
            (
                one.subject.label,
                file_name(one.subject.model),
                one.subject.precision,
                megabytes(one.file_bytes),
                milliseconds(one.load_ms),
                milliseconds(one.first_run_ms),
                megabytes(one.peak_rss_bytes),
                "reference" if one is result.subjects[0] else _output(one),
            )
            for one in result.subjects
        ),
    )
    lines = [
        f"{plural(len(rounds), 'round')} of {plural(len(rounds[0]), 'run')} each; the subjects "
        f"take turns in an order shuffled with seed {result.spec.seed}",
        "one process per subject, the others stopped; memory is the peak of the whole process",
        "warm-up runs: " + ", ".join(str(one.warmup_runs) for one in result.subjects),
        *(f"skipped {label}: {reason}" for label, reason in result.skipped.items()),
    ]
    return table, Notes(lines=tuple(lines))


def _output(one: BenchSamples) -> str:
    if one.logits is None or one.agreement is None:
        return "not comparable"
    if not math.isfinite(one.logits.max_abs):
        return "NaN or infinity"
    return f"{decibels(one.logits.sqnr_db)}, same top-1 {one.agreement:.0%}"


def _setting(result: BenchmarkResult) -> str:
    first = result.subjects[0].subject
    words = f"batch size {result.spec.batch_size}, {plural(first.threads, 'thread')}"
    return f"{words}, {first.instances} instances" if first.instances > 1 else words
