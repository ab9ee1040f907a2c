"""Benchmarks: how long runs take, how many times as fast, and at what cost."""

from __future__ import annotations

import math

from resnet_deploy.report import words
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
from resnet_deploy.results import BenchmarkResult, BenchmarkSweep, BenchSamples, Ratio

_PARITY_WARNING = 1e-3

_MOST_TILES = 8


def view(result: BenchmarkResult | BenchmarkSweep) -> Document:
    """Return one benchmark, or several that differ in batch size, threads or instances."""
    results = result.results if isinstance(result, BenchmarkSweep) else (result,)
    first, ms = results[0], words.milliseconds
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
            Tile(_label(s), ms(s.p50_ms), f"minimum {ms(s.min_ms)}")
            for s in first.subjects[:_MOST_TILES]
        ),
        sections=tuple(sections),
        method=method(first) if alone else (),
        environment=first.environment,
        timed=alone,
    )


def _files(result: BenchmarkResult) -> str:
    return ", ".join(dict.fromkeys(words.file_name(s.subject.model) for s in result.subjects))


def _label(samples: BenchSamples) -> str:
    return samples.subject.label


def _sections(result: BenchmarkResult, *, alone: bool) -> list[Section]:
    """Return the sections of one result; on a terminal a sweep is its one table."""
    suffix = "" if alone else f", {setting(result)}"
    found = [Section(f"Latency{suffix}", _latency(result), detail=not alone)]
    if result.ratios:
        sentences = () if alone else _ratio_sentences(result)
        blocks = (*_ratios(result), Notes(sentences))
        found.append(Section(f"How many times as fast{suffix}", blocks, detail=True))
    found.append(Section(f"Cost{suffix}", (_cost(result),), detail=not alone))
    for profile in result.profiles:
        title = f"Where the time goes: {profile.subject}{suffix}"
        found.append(Section(title, operator_times.blocks(profile), detail=not alone))
    if not alone:
        how = Notes(method(result))
        found.append(Section(f"How it was measured{suffix}", (how,), detail=True))
    return found


def _verdict(result: BenchmarkResult) -> Verdict:
    if not result.ratios:
        return Verdict("plain", "Measured", ("one subject: nothing to compare with",))
    sentences = _ratio_sentences(result)
    busy = bool(cautions(result))
    told = all(_is_told(ratio, busy=busy) for ratio in result.ratios)
    if told and all(ratio.median > 1 for ratio in result.ratios):
        return Verdict("good", "Faster", sentences)
    if told and all(ratio.median < 1 for ratio in result.ratios):
        return Verdict("bad", "Slower", sentences)
    return Verdict("plain", "Compared", sentences)


def _ratio_sentences(result: BenchmarkResult) -> tuple[str, ...]:
    busy = bool(cautions(result))
    return tuple(_sentence(ratio, busy=busy) for ratio in result.ratios)


def _is_told(ratio: Ratio, *, busy: bool) -> bool:
    """Return whether it is known which one is faster.

    On a busy machine the fastest runs, which what else runs disturbs least, must say so too.
    """
    return ratio.differs and not (busy and (ratio.minima - 1) * (ratio.median - 1) <= 0)


def _sentence(ratio: Ratio, *, busy: bool) -> str:
    middle, low, high, minima = ratio.median, ratio.low, ratio.high, ratio.minima
    if not math.isfinite(high):
        return (
            f"{ratio.subject} against {ratio.reference}: {len(ratio.rounds)} rounds are too few "
            f"to tell (median {middle:.2f}x, minima {minima:.2f}x): use --rounds 8 or more"
        )
    direction = "faster"
    if ratio.differs and middle < 1:
        direction = "slower"
        middle, low, high, minima = 1 / middle, 1 / high, 1 / low, 1 / minima
    interval = f"({100 * ratio.confidence:.0f} % CI {low:.2f}-{high:.2f}, minima {minima:.2f}x)"
    if not _is_told(ratio, busy=busy):
        pair = f"{ratio.subject} and {ratio.reference}"
        if busy:
            return (
                f"can't tell on this busy machine which of {pair} is faster {interval}: repeat it "
                "when idle"
            )
        return f"no difference can be told between {pair} {interval}"
    if busy and not low <= minima <= high:
        return (
            f"{ratio.subject} is {direction} than {ratio.reference}; can't tell on this busy "
            f"machine how many times (median {middle:.2f}x, {interval[1:]}: repeat it when idle"
        )
    return f"{ratio.subject} is {middle:.2f}x {direction} than {ratio.reference} {interval}"


def _latency(result: BenchmarkResult) -> tuple[Block, ...]:
    first = result.subjects[0].subject
    against = {ratio.subject: ratio for ratio in result.ratios if ratio.reference == first.label}
    chart = Distributions(
        "Latency of each run",
        "milliseconds per run",
        [
            Series(
                _label(samples),
                tuple(ns / 1e6 for runs in samples.rounds_ns for ns in runs),
                f"{words.milliseconds(samples.p50_ms)} median",
            )
            for samples in result.subjects
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
            ("subject", _label),
            ("min ms", lambda samples: samples.min_ms, words.ms),
            ("p50 ms", lambda samples: samples.p50_ms, words.ms),
            ("p90 ms", lambda samples: samples.p90_ms, words.ms),
            ("p99 ms", lambda samples: samples.p99_ms, words.ms),
            ("images/s", lambda samples: samples.images_per_second, "{:.1f}".format),
            (
                "vs PyTorch" if first.runner == "torch" else "vs first",
                lambda samples: _ratio(against.get(_label(samples))),
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
        return Cell("no difference", ratio.median, "dim", below=(interval,))
    return Cell(words.times(ratio.median), ratio.median, below=(interval,))


def _throughput(result: BenchmarkResult) -> tuple[Block, ...]:
    """Return what all instances of a subject did together, where that was measured."""
    rows = [
        Series(
            _label(samples), samples.images_per_slice, f"{samples.images_per_second:,.1f} images/s"
        )
        for samples in result.subjects
        if samples.images_per_slice
    ]
    chart = Distributions(
        "Throughput of all instances together",
        "images per second",
        rows,
        heading="Throughput",
        caption="Each dot is one slice of time. Right is more.",
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
                words.times(ratio.median),
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
            ("median", lambda ratio: ratio.median, words.times),
            ("from", lambda ratio: _end(ratio, ratio.low)),
            ("to", lambda ratio: _end(ratio, ratio.high)),
            ("confidence", lambda ratio: ratio.confidence, "{:.0%}".format),
            ("of the fastest", lambda ratio: ratio.minima, words.times),
        ],
        words=2,
    )
    return chart, table


def _end(ratio: Ratio, value: float) -> Cell:
    return Cell.of(value, words.times) if math.isfinite(ratio.high) else Cell("too few rounds")


def _cost(result: BenchmarkResult) -> Table:
    first, cold = result.subjects[0], result.spec.cold_starts > 1
    return Table.of(
        "What each subject costs, and how close its output is to the first one's",
        result.subjects,
        [
            ("subject", _named),
            ("start ms", lambda samples: samples.startup_ms, "{:.0f}".format) if cold else None,
            ("load ms", lambda samples: samples.load_ms, "{:.0f}".format),
            ("1st run ms", lambda samples: samples.first_run_ms, words.ms),
            ("peak RSS", lambda samples: samples.peak_rss_bytes, words.megabytes),
            ("file", lambda samples: samples.file_bytes, words.megabytes),
            ("parity", lambda samples: Cell("reference") if samples is first else _parity(samples)),
        ],
    )


def _named(samples: BenchSamples) -> Cell:
    subject = samples.subject
    full = f"{subject.label}: {words.file_name(subject.model)}, {subject.precision}"
    return Cell(subject.label, full=full)


def _parity(samples: BenchSamples) -> Cell:
    """The largest relative difference for fp32; for int8 the noise and the same top-1."""
    logits = samples.logits
    if logits is None:
        return Cell("not comparable", tone="dim")
    if not math.isfinite(logits.max_abs):
        return Cell("NaN or infinity", tone="bad")
    top1 = () if samples.agreement is None else (f"top-1 {samples.agreement:.0%}",)
    if samples.subject.precision != "fp32":
        return Cell(words.decibels(logits.sqnr_db), below=top1)
    if logits.relative <= _PARITY_WARNING:
        return Cell(f"{logits.relative:.1e}")
    return Cell(f"{logits.relative:.1e}", tone="caution", below=top1)
