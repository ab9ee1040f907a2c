"""Benchmarks: how long runs take, how many times as fast, and at what cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from resnet_deploy.report.chart import Distributions, Estimate, Forest, Series
from resnet_deploy.report.document import (
    UNKNOWN,
    Block,
    Cell,
    Document,
    Notes,
    Section,
    Table,
    Tile,
    Verdict,
)
from resnet_deploy.report.views import operator_times
from resnet_deploy.report.words import (
    decibels,
    file_name,
    megabytes,
    milliseconds,
    ms,
    plural,
    times,
)
from resnet_deploy.results import BenchmarkResult, BenchSamples, Ratio
from resnet_deploy.results.interval import FEWEST_PROCESSES, ONE_PROCESS_LUCK

_PARITY_WARNING = 1e-3

_BUSY = 1.5
"""A median this many times the fastest run means that something else took the cores."""

_MOST_TILES = 8


def view(results: Sequence[BenchmarkResult]) -> Document:
    """Return one benchmark, or several that differ in batch size, threads or instances."""
    first = results[0]
    files = dict.fromkeys(file_name(one.subject.model) for one in first.subjects)
    alone = len(results) == 1
    sections = [section for result in results for section in _sections(result, alone=alone)]
    return Document(
        topic="Benchmark",
        title=", ".join(files),
        verdict=_verdict(first) if alone else None,
        tiles=tuple(
            Tile(
                name=one.subject.label,
                value=milliseconds(one.p50_ms),
                detail=f"median; fastest {milliseconds(one.min_ms)}",
            )
            for one in first.subjects[:_MOST_TILES]
        ),
        sections=tuple(sections) if alone else (_sweep(results), *sections),
        method=_method(first) if alone else (),
        environment=first.environment,
        timed=alone,
    )


def _sections(result: BenchmarkResult, *, alone: bool) -> list[Section]:
    """Return the sections of one result; on a terminal a sweep is its one table."""
    suffix = "" if alone else f", {_setting(result)}"
    found = [
        Section(title=f"Latency{suffix}", blocks=_latency(result), detail=not alone),
        Section(title=f"Cost{suffix}", blocks=(_cost(result),), detail=not alone),
    ]
    if result.ratios:
        blocks = _ratios(result)
        if not alone:
            blocks = (*blocks, Notes(lines=tuple(map(_sentence, result.ratios))))
        title = f"How many times as fast{suffix}"
        found.insert(1, Section(title=title, blocks=blocks, detail=True))
    found += [
        Section(
            title=f"Where the time goes: {profile.subject}{suffix}",
            blocks=operator_times.blocks(profile),
            detail=not alone,
        )
        for profile in result.profiles
    ]
    if not alone:
        title = f"How it was measured{suffix}"
        found.append(Section(title=title, blocks=(Notes(lines=_method(result)),), detail=True))
    return [*found, _subjects(result, suffix)]


def _verdict(result: BenchmarkResult) -> Verdict:
    if not result.ratios:
        return Verdict(
            status="plain", word="Measured", sentences=("one subject: nothing to compare with",)
        )
    sentences = tuple(map(_sentence, result.ratios))
    if all(ratio.differs and ratio.median > 1 for ratio in result.ratios):
        return Verdict(status="good", word="Faster", sentences=sentences)
    if all(ratio.differs and ratio.median < 1 for ratio in result.ratios):
        return Verdict(status="bad", word="Slower", sentences=sentences)
    return Verdict(status="plain", word="Compared", sentences=sentences)


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
        title="Latency of each run",
        axis="milliseconds per run",
        heading="Latency while all instances run" if result.spec.throughput else "",
        caption="Each dot is one run; above the box, how densely they lie. The box holds the "
        "middle half, the thick line is the median, the thin one goes from 1 % to 99 %. Further "
        "left is faster.",
        rows=tuple(
            Series(
                label=one.subject.label,
                values=tuple(ns / 1e6 for one_round in one.rounds_ns for ns in one_round),
                text=f"{milliseconds(one.p50_ms)} median",
            )
            for one in result.subjects
        ),
    )
    compared = "vs PyTorch" if first.runner == "torch" else "vs first"
    table = Table.of(
        f"{', '.join(dict.fromkeys(file_name(one.subject.model) for one in result.subjects))}: "
        f"{_shape(result)}",
        ("subject", "min ms", "p50 ms", "p90 ms", "p99 ms", "images/s", compared),
        (
            (
                one.subject.label,
                Cell.of(one.min_ms, ms),
                Cell.of(one.p50_ms, ms),
                Cell.of(one.p90_ms, ms),
                Cell.of(one.p99_ms, ms),
                Cell.of(one.images_per_second, "{:.1f}".format),
                _ratio(against.get(one.subject.label)),
            )
            for one in result.subjects
        ),
    )
    cautions = _cautions(result)
    notes = (Notes(lines=cautions, tone="caution"),) if cautions else ()
    return *_throughput(result), chart, *notes, table


def _shape(result: BenchmarkResult) -> str:
    """Return batch size, instances and threads in words."""
    first = result.subjects[0].subject
    counts = sorted({one.subject.threads for one in result.subjects})
    threads = plural(counts[0], "thread") if len(counts) == 1 else f"{counts} threads"
    if result.spec.throughput:
        threads = f"throughput of {plural(first.instances, 'instance')} x {threads}"
    return f"batch size {result.spec.batch_size}, {threads}"


def _setting(result: BenchmarkResult) -> str:
    first = result.subjects[0].subject
    words = f"batch size {result.spec.batch_size}, {plural(first.threads, 'thread')}"
    return f"{words}, {first.instances} instances" if first.instances > 1 else words


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
    rows = tuple(
        Series(
            label=one.subject.label,
            values=one.images_per_slice,
            text=f"{one.images_per_second:,.1f} images/s",
        )
        for one in result.subjects
        if one.images_per_slice
    )
    if not rows:
        return ()
    return (
        Distributions(
            title="Throughput of all instances together",
            heading="Throughput",
            axis="images per second",
            caption="Each dot is one slice of time. Further right is more.",
            rows=rows,
        ),
    )


def _ratios(result: BenchmarkResult) -> tuple[Block, ...]:
    shares = " or ".join(
        f"{100 * share:.0f} %" for share in sorted({ratio.confidence for ratio in result.ratios})
    )
    chart = Forest(
        title="Paired ratios with their intervals",
        axis="times as fast",
        caption=f"The median and its {shares} interval; each small dot is one round. Where the "
        "interval crosses the dashed line at 1, no difference can be told.",
        reference=1.0,
        log=True,
        rows=tuple(
            Estimate(
                label=f"{ratio.subject} against {ratio.reference}",
                value=ratio.median,
                low=ratio.low,
                high=ratio.high,
                text=times(ratio.median),
                dots=ratio.rounds,
                style="muted" if not ratio.differs else "good" if ratio.median > 1 else "bad",
            )
            for ratio in result.ratios
        ),
    )
    table = Table.of(
        "Paired ratios, round by round",
        ("subject", "reference", "median", "from", "to", "confidence", "of the fastest"),
        (
            (
                ratio.subject,
                ratio.reference,
                Cell.of(ratio.median, times),
                *_ends(ratio),
                Cell.of(ratio.confidence, "{:.0%}".format),
                Cell.of(ratio.minima, times),
            )
            for ratio in result.ratios
        ),
        words=2,
    )
    return chart, table


def _ends(ratio: Ratio) -> tuple[Cell, Cell]:
    if not math.isfinite(ratio.high):
        return Cell("too few rounds"), UNKNOWN
    return Cell.of(ratio.low, times), Cell.of(ratio.high, times)


def _cost(result: BenchmarkResult) -> Table:
    cold = result.spec.cold_starts > 1
    return Table.of(
        "What each subject costs, and how close its output is to the first one's",
        (
            "subject",
            *(("start ms",) if cold else ()),
            "load ms",
            "1st run ms",
            "peak RSS",
            "file",
            "parity",
        ),
        (
            (
                one.subject.label,
                *((Cell.of(one.startup_ms, "{:.0f}".format),) if cold else ()),
                Cell.of(one.load_ms, "{:.0f}".format),
                Cell.of(one.first_run_ms, ms),
                Cell.of(one.peak_rss_bytes, megabytes),
                Cell.of(one.file_bytes, megabytes),
                Cell("reference") if one is result.subjects[0] else _parity(one),
            )
            for one in result.subjects
        ),
    )


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


def _subjects(result: BenchmarkResult, suffix: str) -> Section:
    table = Table.of(
        "Files, runners and threads",
        ("subject", "file", "precision", "runner", "threads", "instances"),
        (
            (
                one.subject.label,
                file_name(one.subject.model),
                one.subject.precision,
                one.subject.runner,
                Cell.of(one.subject.threads, str),
                Cell.of(one.subject.instances, str),
            )
            for one in result.subjects
        ),
        words=4,
    )
    return Section(title=f"What was measured{suffix}", blocks=(table,), detail=True)


def _cautions(result: BenchmarkResult) -> tuple[str, ...]:
    """Return what makes these numbers doubtful, and what to do about it."""
    # Instances that run at once do slow each other down.
    return tuple(
        f"the machine was busy: half the runs of {one.subject.label} took more than "
        f"{one.p50_ms / one.min_ms:.1f}x its fastest; trust the minima, or repeat it when idle"
        for one in result.subjects
        if one.p50_ms > _BUSY * one.min_ms and not result.spec.throughput
    )


def _method(result: BenchmarkResult) -> tuple[str, ...]:
    """Return what was skipped, and how the others were measured."""
    first = result.subjects[0]
    warm_up = ", ".join(str(one.warmup_runs) for one in result.subjects)
    lines = [f"skipped {label}: {reason}" for label, reason in result.skipped.items()]
    lines += [
        f"{_amount(result)}, order shuffled with seed {result.spec.seed}; warm-up runs: {warm_up}",
        "one process per subject, the others stopped; peak RSS is the whole process's",
    ]
    if result.ratios:
        lines.append(_ended(result))
        if len(result.ratios[0].processes) < FEWEST_PROCESSES:
            lines.append(
                f"too few rounds or too little time for {FEWEST_PROCESSES} processes each: the "
                f"intervals hold {ONE_PROCESS_LUCK - 1:.0%} for the luck of a single one"
            )
    if result.spec.pin:
        cpus = " ".join(str(cpu) for cpu in first.subject.cpus)
        lines.append(f"pinned to CPUs {cpus}, each a physical core")
    options = {entry for one in result.subjects for entry in one.subject.session_options}
    if options:
        entries = ", ".join(f"{key}={value}" for key, value in sorted(options))
        lines.append(f"session options: {entries}")
    if result.spec.cold_starts > 1:
        lines.append(
            f"start, load and first run: medians of {result.spec.cold_starts} cold starts; start "
            "is the interpreter and the runtime's libraries"
        )
    return tuple(lines)


def _amount(result: BenchmarkResult) -> str:
    first = result.subjects[0]
    rounds = plural(len(first.rounds_ns), "round")
    if result.spec.throughput:
        each = f"{rounds} of {result.spec.slice_seconds:g} s each"
    else:
        each = f"{rounds} of {plural(len(first.rounds_ns[0]), 'run')} each"
    return f"{each}, in {len(first.processes)} processes" if first.processes else each


def _ended(result: BenchmarkResult) -> str:
    """Say why it ended, and how narrow the widest interval is."""
    spec = result.spec
    widest = max(ratio.precision for ratio in result.ratios)
    reached = f"+-{widest:.1%}" if math.isfinite(widest) else "open"
    if len(result.subjects[0].rounds_ns) >= spec.rounds:
        return f"ended after all {spec.rounds} rounds; the widest interval is {reached}"
    if result.ratios[0].processes and widest <= spec.precision:
        return f"ended when all intervals were within +-{spec.precision:.1%}"
    return (
        f"ended by the time limit of {spec.time_limit:g} s; the widest interval is {reached}, "
        f"not the +-{spec.precision:.1%} asked for"
    )


def _sweep(results: Sequence[BenchmarkResult]) -> Section:
    """Return images per second and median latency of each subject in each configuration."""
    best: dict[str, BenchSamples] = {}
    for result in results:
        for one in result.subjects:
            known = best.setdefault(one.subject.label, one)
            if one.images_per_second > known.images_per_second:
                best[one.subject.label] = one
    rows = []
    for result in results:
        first = result.subjects[0].subject
        found = {one.subject.label: one for one in result.subjects}
        instances = f"{first.instances} x " if result.spec.throughput else ""
        rows.append(
            [
                Cell(str(first.batch_size)),
                Cell(f"{instances}{first.threads}"),
                *(_pair(found.get(label), best[label]) for label in best),
            ]
        )
    columns = ("batch", "threads", *(f"{label}\nimages/s, p50 ms" for label in best))
    table = Table.of("All together", columns, rows, words=2)
    lines = tuple(
        f"{one.subject.label}: most images per second ({one.images_per_second:.1f}) at batch size "
        f"{one.subject.batch_size}, "
        + f"{one.subject.instances} instances of " * (one.subject.instances > 1)
        + plural(one.subject.threads, "thread")
        for one in best.values()
    )
    return Section(title="All together", blocks=(table, Notes(lines=lines, tone="strong")))


def _pair(one: BenchSamples | None, best: BenchSamples) -> Cell:
    if one is None:
        return Cell("skipped", tone="dim")
    text = f"{one.images_per_second:.1f}, {one.p50_ms:.2f}"
    return Cell(text, tone="good" if one is best else "")
