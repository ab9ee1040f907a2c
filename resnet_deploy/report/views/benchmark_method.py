"""How a benchmark was measured, in words, and what makes it doubtful."""

from __future__ import annotations

import math

from resnet_deploy.report.words import decibels, file_name, plural
from resnet_deploy.results import BenchmarkResult
from resnet_deploy.results.interval import FEWEST_PROCESSES, ONE_PROCESS_LUCK

_BUSY = 1.5
"""A median this many times the fastest run means that something else took the cores."""


def shape(result: BenchmarkResult) -> str:
    """Return batch size, instances and threads in words."""
    first = result.subjects[0].subject
    counts = sorted({samples.subject.threads for samples in result.subjects})
    threads = plural(counts[0], "thread") if len(counts) == 1 else f"{counts} threads"
    if result.spec.throughput:
        threads = f"throughput of {plural(first.instances, 'instance')} x {threads}"
    return f"batch size {result.spec.batch_size}, {threads}"


def setting(result: BenchmarkResult) -> str:
    """Return what a result of a sweep is told apart by."""
    first = result.subjects[0].subject
    words = f"batch size {result.spec.batch_size}, {plural(first.threads, 'thread')}"
    return f"{words}, {first.instances} instances" if first.instances > 1 else words


def cautions(result: BenchmarkResult) -> tuple[str, ...]:
    """Return what makes these numbers doubtful, and what to do about it."""
    # Instances that run at once do slow each other down.
    return tuple(
        f"the machine was busy: half the runs of {s.subject.label} took more than "
        f"{s.p50_ms / s.min_ms:.1f}x its fastest; ratios are of interleaved pairs, times are "
        "not: repeat it when idle"
        for s in result.subjects
        if s.p50_ms > _BUSY * s.min_ms and not result.spec.throughput
    )


def method(result: BenchmarkResult) -> tuple[str, ...]:
    """Return what was skipped, and how the others were measured."""
    first = result.subjects[0]
    warm_up = ", ".join(str(samples.warmup_runs) for samples in result.subjects)
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
        lines.append(
            "times as fast: the median over rounds of the quotient of both medians in that round; "
            "the times above are of all runs"
        )
    lines += _parity(result)
    if result.spec.pin:
        cpus = " ".join(map(str, first.subject.cpus))
        lines.append(f"pinned to CPUs {cpus}, each a physical core")
    options = {entry for samples in result.subjects for entry in samples.subject.session_options}
    if options:
        entries = ", ".join(f"{key}={value}" for key, value in sorted(options))
        lines.append(f"session options: {entries}")
    if result.spec.cold_starts > 1:
        lines.append(
            f"start, load and first run: medians of {result.spec.cold_starts} cold starts; start "
            "is the interpreter and the runtime's libraries"
        )
    return tuple(lines)


def _parity(result: BenchmarkResult) -> tuple[str, ...]:
    """Say on what outputs were compared, and what the cards say of other images."""
    compared = [samples for samples in result.subjects if samples.logits is not None]
    images = sorted({samples.parity_images for samples in compared} - {""})
    if not images:
        return ()
    told = dict.fromkeys(
        f"the card of {file_name(samples.subject.model)} tells {decibels(samples.card_sqnr_db)} "
        f"on the {plural(samples.card_images, 'image')} that it was compared on when it was made"
        for samples in compared
        if samples.card_sqnr_db is not None
    )
    return ("; ".join((f"parity: on {' and '.join(images)}", *told)),)


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
