"""A benchmark as tables, a verdict in words, and the notes that make it repeatable."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from resnet_deploy.results import BenchmarkResult, BenchSamples, Ratio
from resnet_deploy.results.interval import FEWEST_PROCESSES, ONE_PROCESS_LUCK

_PARITY_WARNING = 1e-3

_BUSY = 1.5
"""A median this many times the fastest run means that something else took the cores."""

Column = tuple[str, Callable[[BenchSamples], str]]


def render(result: BenchmarkResult, width: int) -> Group:
    """Return one table where ``width`` columns hold it, else two; then verdicts and notes."""
    latency, costs = _latency_columns(result), _cost_columns(result)
    files = ", ".join(dict.fromkeys(Path(one.subject.model).name for one in result.subjects))
    title = f"{files}: {shape_of(result)}"
    tables = [_table(title, (*latency, *costs), result)]
    if _width(tables[0]) > width:
        tables = [_table(title, latency, result), _table("", costs, result)]
    verdicts = [Text(f"  {sentence}", style="bold") for sentence in verdict(result)]
    cautions = [Text(f"  {one}", style="yellow") for one in warnings(result)]
    rest = [Text(f"  {note}", style="dim") for note in notes(result)]
    return Group(*tables, *verdicts, *cautions, Text(""), *rest)


def shape_of(result: BenchmarkResult) -> str:
    """Return batch size, instances and threads in words."""
    first = result.subjects[0].subject
    counts = sorted({one.subject.threads for one in result.subjects})
    threads = _plural(counts[0], "thread") if len(counts) == 1 else f"{counts} threads"
    if result.spec.throughput:
        threads = f"throughput of {_plural(first.instances, 'instance')} x {threads}"
    return f"batch size {result.spec.batch_size}, {threads}"


def verdict(result: BenchmarkResult) -> list[str]:
    """Return one sentence per ratio."""
    return [_sentence(ratio) for ratio in result.ratios]


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


def warnings(result: BenchmarkResult) -> list[str]:
    """Return what makes these numbers doubtful, and what to do about it."""
    # Instances that run at once do slow each other down.
    busy = [
        one
        for one in result.subjects
        if one.p50_ms > _BUSY * one.min_ms and not result.spec.throughput
    ]
    return [
        f"the machine was busy: half the runs of {one.subject.label} took more than "
        f"{one.p50_ms / one.min_ms:.1f}x its fastest; trust the minima, or repeat it when idle"
        for one in busy
    ]


def notes(result: BenchmarkResult) -> list[str]:
    """Return where and how it was measured, what was skipped, and the command to repeat it."""
    env, first = result.environment, result.subjects[0]
    warm_up = ", ".join(str(one.warmup_runs) for one in result.subjects)
    versions = ", ".join(f"{name} {version}" for name, version in env.versions.items())
    lines = [f"skipped {label}: {reason}" for label, reason in result.skipped.items()]
    lines += [
        f"{env.cpu}, {_plural(env.cores, 'core')} allowed ({' '.join(env.isa)})",
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
    return [
        *lines,
        f"{env.os}, Python {env.python}, {versions}",
        f"repeat: {env.command}",
    ]


def _amount(result: BenchmarkResult) -> str:
    first = result.subjects[0]
    rounds = _plural(len(first.rounds_ns), "round")
    if result.spec.throughput:
        each = f"{rounds} of {result.spec.slice_seconds:g} s each"
    else:
        each = f"{rounds} of {_plural(len(first.rounds_ns[0]), 'run')} each"
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


def _latency_columns(result: BenchmarkResult) -> tuple[Column, ...]:
    first = result.subjects[0].subject
    against = {r.subject: r for r in result.ratios if r.reference == first.label}

    def compared(one: BenchSamples) -> str:
        ratio = against.get(one.subject.label)
        return "reference" if ratio is None else _ratio_text(ratio)

    return (
        ("min ms", lambda one: _ms(one.min_ms)),
        ("p50 ms", lambda one: _ms(one.p50_ms)),
        ("p90 ms", lambda one: _ms(one.p90_ms)),
        ("p99 ms", lambda one: _ms(one.p99_ms)),
        ("images/s", lambda one: f"{one.images_per_second:.1f}"),
        ("vs PyTorch" if first.runner == "torch" else "vs first", compared),
    )


def _cost_columns(result: BenchmarkResult) -> tuple[Column, ...]:
    def parity(one: BenchSamples) -> str:
        return "reference" if one is result.subjects[0] else _parity_text(one)

    startup: tuple[Column, ...] = ()
    if result.spec.cold_starts > 1:
        startup = (("start ms", lambda one: f"{one.startup_ms or 0:.0f}"),)
    return (
        *startup,
        ("load ms", lambda one: f"{one.load_ms:.0f}"),
        ("1st run", lambda one: _ms(one.first_run_ms)),
        ("peak RSS", lambda one: _megabytes(one.peak_rss_bytes)),
        ("file", lambda one: _megabytes(one.file_bytes)),
        ("parity", parity),
    )


def _ratio_text(ratio: Ratio) -> str:
    if not math.isfinite(ratio.high):
        return f"{ratio.median:.2f}x (?)"
    if not ratio.differs:
        return f"no difference\n({ratio.low:.2f}-{ratio.high:.2f})"
    return f"{ratio.median:.2f}x\n({ratio.low:.2f}-{ratio.high:.2f})"


def _parity_text(one: BenchSamples) -> str:
    """The largest relative difference for fp32; for int8 the noise and the same top-1."""
    if one.logits is None or one.agreement is None:
        return "not comparable"
    if not math.isfinite(one.logits.max_abs):
        return "NaN or infinity"
    top1 = f"top-1 {one.agreement:.0%}"
    if one.subject.precision == "fp32":
        if one.logits.relative <= _PARITY_WARNING:
            return f"{one.logits.relative:.1e}"
        return f"{one.logits.relative:.1e}\n{top1}"
    return f"{one.logits.sqnr_db:.1f} dB\n{top1}"


def _table(title: str, columns: Sequence[Column], result: BenchmarkResult) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    table.add_column("subject", overflow="fold", style="bold")
    for header, _ in columns:
        table.add_column(header, justify="right", no_wrap=True)
    for one in result.subjects:
        table.add_row(one.subject.label, *(cell(one) for _, cell in columns))
    return table


def _width(table: Table) -> int:
    """Return the columns that ``table`` takes when no cell is folded."""
    console = Console(width=1000)
    return table.__rich_measure__(console, console.options).maximum


def _ms(milliseconds: float) -> str:
    """Four significant digits at least, from microseconds to seconds."""
    return f"{milliseconds:.3f}" if milliseconds < 10 else f"{milliseconds:.2f}"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count < 1e8 else f"{count / 1e6:.0f} MB"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
