"""All subjects of one setting in turn, by the tool's own stopwatch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peers.catalog import Subject
from peers.environments import last_line, python_of
from peers.nets import Net
from peers.peak import Peak
from resnet_deploy.arrays import Array
from resnet_deploy.benchmark import measure
from resnet_deploy.errors import RunnerError, UnsupportedGraphError
from resnet_deploy.measure.process import CHILD, SubjectProcess
from resnet_deploy.measure.stopwatch import Process
from resnet_deploy.results import BenchSamples, BenchSubject, Environment, Ratio
from resnet_deploy.runners.cpu import default_threads
from resnet_deploy.spec import BenchSpec

Products = dict[str, dict[str, Any]]


class PeerProcess(SubjectProcess):
    """A subject that can't be loaded or run is left out, with the reason, and the rest goes on."""

    def load(self, subject: BenchSubject, samples: Path) -> int:
        try:
            return super().load(subject, samples)
        except RunnerError as error:
            raise UnsupportedGraphError(str(error)) from error

    def first_run(self) -> int:
        try:
            return super().first_run()
        except RunnerError as error:
            raise UnsupportedGraphError(str(error)) from error


def command_of(subject: Subject) -> tuple[str, ...]:
    """Return the child's command line of ``subject``."""
    if not subject.module:
        return CHILD
    return (python_of(subject.venv), "-m", subject.module, "serve")


def bench_subject(
    subject: Subject, net: Net, model: str, *, batch: int, threads: int
) -> BenchSubject:
    size = net.image_size
    takes_bytes = subject.product.startswith("bytes")
    return BenchSubject(
        label=subject.key,
        runner=subject.runner,
        model=model,
        precision=subject.precision,
        input_shape=(size, size, 3) if takes_bytes else (3, size, size),
        input_dtype="uint8" if takes_bytes else "float32",
        batch_size=batch,
        threads=threads,
    )


def time_all(
    subjects: Sequence[Subject],
    net: Net,
    products: Products,
    spec: BenchSpec,
    environment: Environment,
    peak: Peak,
) -> dict[str, Any]:
    """Return one setting's row of every subject; those without a file say why."""
    ready = [subject for subject in subjects if "error" not in products[subject.product]]
    rows: dict[str, Any] = {
        subject.key: {"error": products[subject.product]["error"]}
        for subject in subjects
        if subject not in ready
    }
    by_key = {subject.key: subject for subject in ready}

    def start(subject: BenchSubject, folder: Path) -> Process:
        own = folder / subject.label
        own.mkdir(exist_ok=True)
        return PeerProcess(subject, own, command_of(by_key[subject.label]))

    result = measure(
        [
            bench_subject(
                subject,
                net,
                products[subject.product]["model"],
                batch=spec.batch_size,
                threads=spec.threads,
            )
            for subject in ready
        ],
        spec,
        environment=environment,
        required=False,
        start=start,
    )
    first = result.subjects[0].subject.label
    ratios = {ratio.subject: ratio for ratio in result.ratios if ratio.reference == first}
    for key, message in result.skipped.items():
        rows[key] = {"error": last_line(message).removeprefix(f"{key}: ")}
    for samples in result.subjects:
        key = samples.subject.label
        rows[key] = _row(samples, ratios.get(key), net, peak)
    return {
        "net": net.name,
        "batch": spec.batch_size,
        "threads": spec.threads,
        "rounds": len(result.subjects[0].rounds_ns),
        "processes": max(1, len(result.subjects[0].processes)),
        "subjects": {subject.key: rows[subject.key] for subject in subjects},
    }


def _row(samples: BenchSamples, ratio: Ratio | None, net: Net, peak: Peak) -> dict[str, Any]:
    """``against_ours`` is the time over ours: above 1 is slower, with its interval."""
    row: dict[str, Any] = {
        "min_ms": samples.min_ms,
        "p50_ms": samples.p50_ms,
        "load_ms": samples.load_ns / 1e6,
        "first_run_ms": samples.first_run_ns / 1e6,
        "peak_rss_mb": samples.peak_rss_bytes / 1e6,
        "gmacs": net.macs * samples.subject.batch_size / samples.min_ms / 1e6,
    }
    if peak.gmacs_per_core and samples.subject.precision == "int8":
        row["share_of_peak"] = row["gmacs"] / (peak.gmacs_per_core * samples.subject.threads)
    if ratio:
        low, high = 1 / ratio.high if ratio.high else 0.0, 1 / ratio.low if ratio.low else None
        row["against_ours"] = {"median": 1 / ratio.median, "low": low, "high": high}
        row["against_ours"]["minima"] = 1 / ratio.minima
    if samples.logits and math.isfinite(samples.logits.sqnr_db):
        row["sqnr_to_ours_db"] = samples.logits.sqnr_db
    return row


def logits_of(subject: Subject, net: Net, model: str, batch: int, folder: Path) -> Array:
    """Return the logits of all test images of ``net``."""
    what = bench_subject(subject, net, model, batch=batch, threads=default_threads())
    with PeerProcess(what, folder, command_of(subject)) as process:
        process.load(what, net.test_bytes if what.input_dtype == "uint8" else net.test)
        return process.logits()
