"""The gate for continuous integration: a recorded benchmark against a later one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from resnet_deploy.errors import ArtifactError, SpecError, one_line
from resnet_deploy.plain_values import read_text, strict_json
from resnet_deploy.results import BenchmarkResult, BenchSamples, from_dict
from resnet_deploy.results.interval import FEWEST_PROCESSES
from resnet_deploy.results.ratio import group_medians
from resnet_deploy.results.regression import Change, RegressionReport

_LONGEST = 1e18
"""Nanoseconds, or images a second: thirty years."""

_MOST = 10**6
"""Images in a batch, or processes."""

_LONGEST_LABEL = 300


class _Key(NamedTuple):
    """What a subject is known by in both files."""

    label: str
    batch_size: int
    threads: int
    instances: int
    throughput: bool

    def __str__(self) -> str:
        instances = f"{self.instances} x " if self.instances > 1 else ""
        mode = ", throughput" if self.throughput else ""
        return f"{self.label} (batch {self.batch_size}, {instances}{self.threads} threads{mode})"


def load_results(path: Path) -> list[BenchmarkResult]:
    """Return the results in a file that ``bench --json`` wrote.

    Raises:
        ArtifactError: it can't be read, or is something else.
    """
    try:
        data = strict_json(read_text(path))
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ArtifactError(
            f"{path} is not JSON ({one_line(error, 80)}): name a file of bench --json"
        ) from error
    try:
        results = [from_dict(BenchmarkResult, _without_parity(result)) for result in _each(data)]
    except ValueError as error:
        raise ArtifactError(
            f"{path} is JSON, but not of bench --json ({one_line(error)}): name a file that it "
            "wrote"
        ) from error
    measured = [samples for result in results for samples in result.subjects]
    if not measured or not all(_is_measured(one) and _is_possible(one) for one in measured):
        raise ArtifactError(f"{path} holds no measurement: name a file of bench --json")
    return results


def _is_measured(samples: BenchSamples) -> bool:
    """Whether every round has runs or a rate, and all of them took time."""
    runs = [run for runs in samples.rounds_ns for run in runs]
    times = (*runs, *samples.images_per_slice)
    complete = all(samples.rounds_ns) and (runs or samples.images_per_slice)
    return bool(complete) and all(1 / _LONGEST < time < _LONGEST for time in times)


def _is_possible(samples: BenchSamples) -> bool:
    """Whether its counts are some that a measurement can have, and fit each other."""
    subject, rounds = samples.subject, samples.images_per_slice or samples.rounds_ns
    counts = (subject.batch_size, subject.instances, *samples.processes)
    least = [samples.load_ns, samples.first_run_ns, samples.warmup_runs, samples.file_bytes]
    least += [samples.peak_rss_bytes, subject.threads]
    for start in samples.cold_starts:
        least += [start.startup_ns, start.load_ns, start.first_run_ns]
    return (
        all(1 <= count <= _MOST for count in counts)
        and all(0 <= number < _LONGEST for number in least)
        and (not samples.processes or sum(samples.processes) == len(rounds))
        and 0 < len(subject.label) <= _LONGEST_LABEL
    )


def _each(data: Any) -> list[Any]:
    """Return the results in a record of one run, or of several.

    Raises:
        ValueError: they are not a list.
    """
    found = data.get("results", [data]) if isinstance(data, dict) else None
    if not isinstance(found, list):
        raise ValueError("no results")
    return found


def _without_parity(data: Any) -> Any:
    """Drop what is not compared: a NaN among the logits is null in JSON and no number."""
    if not isinstance(data, dict) or not isinstance(data.get("subjects"), list):
        raise ValueError("no subjects")
    subjects = [
        {**subject, "logits": None} if isinstance(subject, dict) else subject
        for subject in data["subjects"]
    ]
    return {**data, "subjects": subjects}


def compare_runs(
    old: Path, new: Path, *, max_regress: float, relative_to: str | None = None
) -> RegressionReport:
    """Compare the costs of all subjects that both files hold.

    Subjects are the same when label, batch size, threads and instances are.

    Args:
        old: what is good enough.
        new: what must not be slower.
        max_regress: how much slower is accepted, 0.05 for 5 %.
        relative_to: label of the subject, such as PyTorch, whose own change is the machine's.

    Raises:
        ArtifactError: a file is not of ``bench --json``, or holds a subject twice.
        SpecError: the files have no subject in common, or not the reference, or ``max_regress`` is
            not a share.
    """
    if not 0 < max_regress < 1:
        raise SpecError(f"max_regress must be above 0 and below 1, not {max_regress:g}")
    before, after = load_results(old), load_results(new)
    first, second = _samples(before, old), _samples(after, new)
    common = [key for key in first if key in second and key.label != relative_to]
    if not common:
        raise SpecError(
            f"{old} and {new} have no subject in common ({_names(first)} and {_names(second)}): "
            "measure the same files with the same batch size and threads"
        )
    changes = []
    for key in common:
        pair = first[key], second[key]
        references = _reference(first, key, relative_to), _reference(second, key, relative_to)
        by_process = all(len(samples.processes) >= FEWEST_PROCESSES for samples in pair)
        before_ns, after_ns = (
            _costs(samples, reference, by_process=by_process)
            for samples, reference in zip(pair, references, strict=True)
        )
        changes.append(
            Change(
                subject=key.label,
                batch_size=key.batch_size,
                threads=key.threads,
                instances=key.instances,
                throughput=key.throughput,
                max_regress=max_regress,
                by_process=by_process,
                before=before_ns,
                after=after_ns,
            )
        )
    return RegressionReport(
        old=str(old),
        new=str(new),
        max_regress=max_regress,
        relative_to=relative_to,
        changes=tuple(changes),
        unmatched=(
            *(f"{key} is only in {old}" for key in first if key not in second),
            *(f"{key} is only in {new}" for key in second if key not in first),
        ),
        differences=tuple(_differences(before[0], after[0])),
    )


def _samples(results: Sequence[BenchmarkResult], path: Path) -> dict[_Key, BenchSamples]:
    """Return what was measured in the file ``path``, by subject.

    Raises:
        ArtifactError: a subject is there twice; which of them counts would be a guess.
    """
    found: dict[_Key, BenchSamples] = {}
    for samples in (samples for result in results for samples in result.subjects):
        if (key := _key(samples)) in found:
            raise ArtifactError(f"{path} holds {key} twice: name a file with one measurement of it")
        found[key] = samples
    return found


def _key(samples: BenchSamples) -> _Key:
    return _Key(
        label=samples.subject.label,
        batch_size=samples.subject.batch_size,
        threads=samples.subject.threads,
        instances=samples.subject.instances,
        throughput=bool(samples.images_per_slice),
    )


def _reference(
    samples: dict[_Key, BenchSamples], key: _Key, relative_to: str | None
) -> BenchSamples | None:
    if relative_to is None:
        return None
    found = samples.get(key._replace(label=relative_to))
    if found is None:
        raise SpecError(
            f"--relative-to {relative_to!r}: both runs must hold it with batch size "
            f"{key.batch_size} and {key.threads} threads; there are {_names(samples)}"
        )
    return found


def _costs(
    samples: BenchSamples, reference: BenchSamples | None, *, by_process: bool
) -> tuple[float, ...]:
    costs = samples.costs
    if reference is not None:
        if len(costs) != len(reference.costs):
            raise SpecError(
                f"{samples.subject.label} and {reference.subject.label} were not measured in the "
                "same rounds: --relative-to takes one of the same run"
            )
        costs = tuple(a / b for a, b in zip(costs, reference.costs, strict=True))
    return group_medians(costs, samples.processes) if by_process else costs


def _names(samples: dict[_Key, BenchSamples]) -> str:
    return ", ".join(map(str, samples))


def _differences(old: BenchmarkResult, new: BenchmarkResult) -> Iterator[str]:
    before, after = old.environment, new.environment
    for name, first, second in (
        ("CPU", before.cpu, after.cpu),
        ("ISA", " ".join(before.isa), " ".join(after.isa)),
        ("cores allowed", before.cores, after.cores),
        ("system", before.os, after.os),
        ("Python", before.python, after.python),
        ("--pin", old.spec.pin, new.spec.pin),
    ):
        if first != second:
            yield f"{name}: {first} before, {second} after"
    for package in sorted({*before.versions, *after.versions}):
        versions = before.versions.get(package, "none"), after.versions.get(package, "none")
        if versions[0] != versions[1]:
            yield f"{package}: {versions[0]} before, {versions[1]} after"
