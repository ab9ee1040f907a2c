"""Benchmarks: how long runs take, how many times as fast, and at what cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from resnet_deploy.report.chart import Distributions, Estimate, Forest, Series
from resnet_deploy.report.document import (
    Block,
    Cell,
    Document,
    Notes,
    Section,
    Table,
    Tile,
    Verdict,
)
from resnet_deploy.report.views import operator_times, sweep
from resnet_deploy.report.views.benchmark_method import cautions, method, setting, shape
from resnet_deploy.report.words import (
    decibels,
    file_name,
    megabytes,
    milliseconds,
    ms,
    times,
)
from resnet_deploy.results import BenchmarkResult, BenchSamples, Ratio

_PARITY_WARNING = 1e-3

_MOST_TILES = 8


def view(results: Sequence[BenchmarkResult]) -> Document:
    """Return one benchmark, or several that differ in batch size, threads or instances."""
    first = results[0]
    alone = len(results) == 1
    sections = [section for result in results for section in _sections(result, alone=alone)]
    verdict = _verdict(first)
    if not alone:
        verdict = sweep.verdict(results)
        sections.insert(0, sweep.section(results))
    return Document(
        topic="Benchmark",
        title=_files(first),
        verdict=verdict,
        tiles=tuple(
            Tile(one.subject.label, milliseconds(one.p50_ms), f"minimum {ms(one.min_ms)} ms")
            for one in first.subjects[:_MOST_TILES]
        ),
        sections=tuple(sections),
        method=method(first) if alone else (),
        environment=first.environment,
        timed=alone,
    )


def _files(result: BenchmarkResult) -> str:
    return ", ".join(dict.fromkeys(file_name(one.subject.model) for one in result.subjects))


def _sections(result: BenchmarkResult, *, alone: bool) -> list[Section]:
    """Return the sections of one result; on a terminal a sweep is its one table."""
    suffix = "" if alone else f", {setting(result)}"
    found = [Section(f"Latency{suffix}", _latency(result), detail=not alone)]
    if result.ratios:
        blocks = _ratios(result)
        if not alone:
            blocks = (*blocks, Notes(tuple(map(_sentence, result.ratios))))
        found.append(Section(f"How many times as fast{suffix}", blocks, detail=True))
    found.append(Section(f"Cost{suffix}", (_cost(result),), detail=not alone))
    for profile in result.profiles:
        title = f"Where the time goes: {profile.subject}{suffix}"
        found.append(Section(title, operator_times.blocks(profile), detail=not alone))
    if not alone:
        blocks = (Notes(method(result)),)
        found.append(Section(f"How it was measured{suffix}", blocks, detail=True))
    return found


def _verdict(result: BenchmarkResult) -> Verdict:
    if not result.ratios:
        return Verdict("plain", "Measured", ("one subject: nothing to compare with",))
    sentences = tuple(map(_sentence, result.ratios))
    if all(ratio.differs and ratio.median > 1 for ratio in result.ratios):
        return Verdict("good", "Faster", sentences)
    if all(ratio.differs and ratio.median < 1 for ratio in result.ratios):
        return Verdict("bad", "Slower", sentences)
    return Verdict("plain", "Compared", sentences)


def _sentence(ratio: Ratio) -> str:
    if not math.isfinite(ratio.high):
        return (
            f"{ratio.subject} against {ratio.reference}: {len(ratio.rounds)} rounds are too few "
            f"to tell (median {ratio.median:.2f}x, minima {ratio.minima:.2f}x): use --rounds 8 "
            "or more"
        )
    confidence = f"{ratio.confidence:.0%}".replace("%", " % CI")
    interval = f"{confidence} {ratio.low:.2f}-{ratio.high:.2f}, minima {ratio.minima:.2f}x"
    if not ratio.differs:
        return (
            f"no difference can be told between {ratio.subject} and {ratio.reference} ({interval})"
        )
    if ratio.median > 1:
        return f"{ratio.subject} is {ratio.median:.2f}x faster than {ratio.reference} ({interval})"
    slower = (
        f"{confidence} {1 / ratio.high:.2f}-{1 / ratio.low:.2f}, minima {1 / ratio.minima:.2f}x"
    )
    return f"{ratio.subject} is {1 / ratio.median:.2f}x slower than {ratio.reference} ({slower})"


def _latency(result: BenchmarkResult) -> tuple[Block, ...]:
    first = result.subjects[0].subject
    against = {ratio.subject: ratio for ratio in result.ratios if ratio.reference == first.label}
    chart = Distributions(
        "Latency of each run",
        "milliseconds per run",
        [
            Series(
                one.subject.label,
                tuple(ns / 1e6 for one_round in one.rounds_ns for ns in one_round),
                f"{milliseconds(one.p50_ms)} median",
            )
            for one in result.subjects
        ],
        heading="Latency while all instances run" if result.spec.throughput else "",
        caption="Each dot is one run; above the box, how densely they lie. The box holds the "
        "middle half, the thick line is the median, the thin one goes from 1 % to 99 %. Further "
        "left is faster.",
    )
    table = Table.of(
        f"{_files(result)}: {shape(result)}",
        result.subjects,
        [
            ("subject", lambda one: one.subject.label),
            ("min ms", lambda one: Cell.of(one.min_ms, ms)),
            ("p50 ms", lambda one: Cell.of(one.p50_ms, ms)),
            ("p90 ms", lambda one: Cell.of(one.p90_ms, ms)),
            ("p99 ms", lambda one: Cell.of(one.p99_ms, ms)),
            ("images/s", lambda one: Cell.of(one.images_per_second, "{:.1f}".format)),
            (
                "vs PyTorch" if first.runner == "torch" else "vs first",
                lambda one: _ratio(against.get(one.subject.label)),
            ),
        ],
    )
    return *_throughput(result), chart, Notes(cautions(result), "caution"), table


def _ratio(ratio: Ratio | None) -> Cell:
    if ratio is None:
        return Cell("reference")
    if not math.isfinite(ratio.high):
        return Cell(f"{ratio.median:.2f}x (?)", ratio.median, "dim")
    interval = f"({ratio.low:.2f}-{ratio.high:.2f})"
    if not ratio.differs:
        return Cell(f"no difference\n{interval}", ratio.median, "dim")
    return Cell(f"{times(ratio.median)}\n{interval}", ratio.median)


def _throughput(result: BenchmarkResult) -> tuple[Block, ...]:
    """Return what all instances of a subject did together, where that was measured."""
    rows = [
        Series(one.subject.label, one.images_per_slice, f"{one.images_per_second:,.1f} images/s")
        for one in result.subjects
        if one.images_per_slice
    ]
    title, caption = "Throughput of all instances together", "Each dot is one slice of time."
    chart = Distributions(
        title, "images per second", rows, heading="Throughput", caption=f"{caption} Right is more."
    )
    return (chart,) if rows else ()


def _ratios(result: BenchmarkResult) -> tuple[Block, ...]:
    shares = sorted({ratio.confidence for ratio in result.ratios})
    chart = Forest(
        "Paired ratios with their intervals",
        "times as fast",
        [
            Estimate(
                f"{ratio.subject} against {ratio.reference}",
                ratio.median,
                (ratio.low, ratio.high),
                times(ratio.median),
                "muted" if not ratio.differs else "good" if ratio.median > 1 else "bad",
                ratio.rounds,
            )
            for ratio in result.ratios
        ],
        caption=f"The median and its {' or '.join(f'{share:.0%}' for share in shares)} interval; "
        "each small dot is one round. Where the interval crosses the dashed line at 1, no "
        "difference can be told.",
        reference=1.0,
        log=True,
    )
    table = Table.of(
        "Paired ratios, round by round",
        result.ratios,
        [
            ("subject", lambda ratio: ratio.subject),
            ("reference", lambda ratio: ratio.reference),
            ("median", lambda ratio: Cell.of(ratio.median, times)),
            ("from", lambda ratio: _end(ratio, ratio.low)),
            ("to", lambda ratio: _end(ratio, ratio.high)),
            ("confidence", lambda ratio: Cell.of(ratio.confidence, "{:.0%}".format)),
            ("of the fastest", lambda ratio: Cell.of(ratio.minima, times)),
        ],
        words=2,
    )
    return chart, table


def _end(ratio: Ratio, value: float) -> Cell:
    return Cell.of(value, times) if math.isfinite(ratio.high) else Cell("too few rounds")


def _cost(result: BenchmarkResult) -> Table:
    first, cold = result.subjects[0], result.spec.cold_starts > 1
    return Table.of(
        "What each subject costs, and how close its output is to the first one's",
        result.subjects,
        [
            ("subject", lambda one: Cell(one.subject.label, full=_full_name(one))),
            ("start ms", lambda one: Cell.of(one.startup_ms, "{:.0f}".format)) if cold else None,
            ("load ms", lambda one: Cell.of(one.load_ms, "{:.0f}".format)),
            ("1st run ms", lambda one: Cell.of(one.first_run_ms, ms)),
            ("peak RSS", lambda one: Cell.of(one.peak_rss_bytes, megabytes)),
            ("file", lambda one: Cell.of(one.file_bytes, megabytes)),
            ("parity", lambda one: Cell("reference") if one is first else _parity(one)),
        ],
    )


def _full_name(one: BenchSamples) -> str:
    return f"{one.subject.label}: {file_name(one.subject.model)}, {one.subject.precision}"


def _parity(one: BenchSamples) -> Cell:
    """The largest relative difference for fp32; for int8 the noise and the same top-1."""
    if one.logits is None:
        return Cell("not comparable", tone="dim")
    if not math.isfinite(one.logits.max_abs):
        return Cell("NaN or infinity", tone="bad")
    top1 = "" if one.agreement is None else f"\ntop-1 {one.agreement:.0%}"
    if one.subject.precision == "fp32":
        relative = f"{one.logits.relative:.1e}"
        if one.logits.relative <= _PARITY_WARNING:
            return Cell(relative)
        return Cell(f"{relative}{top1}", tone="caution")
    return Cell(f"{decibels(one.logits.sqnr_db)}{top1}")
