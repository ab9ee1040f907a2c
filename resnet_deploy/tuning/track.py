"""Times candidates alternately with the reference, each in processes of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.benchmark import measure
from resnet_deploy.results import BenchSubject, Fidelity, Trial, TuningReport
from resnet_deploy.spec import BenchSpec, FileOptions, Objective, RunOptions

_REFERENCE = "reference"


@dataclass(frozen=True)
class Entrant:
    """A file, the way it is run, and how close it is to fp32."""

    recipe: FileOptions
    setting: RunOptions
    file: Path
    fidelity: Fidelity

    @classmethod
    def of(cls, trial: Trial, file: Path) -> Entrant:
        """Return ``trial`` for another race."""
        return cls(trial.recipe, trial.setting, file, trial.fidelity)


def race(entrants: Sequence[Entrant], report: TuningReport, *, seconds: float) -> list[Trial]:
    """Return a trial for each of ``entrants``, timed against the first trial of ``report``.

    Without trials in ``report``, the only entrant is the reference itself.

    Args:
        entrants: what is timed, one after the other in each round.
        report: says what for, and what against.
        seconds: for all of them together and the reference.

    Raises:
        ResnetDeployError: one of them can't run.
    """
    subjects = [_subject(entrant, str(number)) for number, entrant in enumerate(entrants)]
    if report.trials:
        first = report.trials[0]
        file = entrants[0].file.parent / first.file
        subjects.insert(0, _subject(Entrant.of(first, file), _REFERENCE))
    spec = BenchSpec(
        throughput=report.spec.objective is Objective.THROUGHPUT,
        time_limit=seconds * max(1, len(entrants)) if report.trials else seconds,
        warmup_seconds=0.5,
        precision=0.01,
        seed=report.spec.seed,
    )
    result = measure(subjects, spec, environment=report.environment)
    measured = {samples.subject.label: samples for samples in result.subjects}
    ratios = {ratio.subject: ratio for ratio in result.ratios if ratio.reference == _REFERENCE}
    trials = []
    for number, entrant in enumerate(entrants):
        artifact = load(entrant.file)
        trials.append(
            Trial(
                recipe=entrant.recipe,
                setting=entrant.setting,
                file=entrant.file.name,
                sha256=artifact.sha256,
                file_bytes=entrant.file.stat().st_size,
                fidelity=entrant.fidelity,
                # Milliseconds per image of every round.
                rounds_ms=tuple(cost / 1e6 for cost in measured[str(number)].costs),
                ratio=ratios.get(str(number)),
            )
        )
    return trials


def _subject(entrant: Entrant, label: str) -> BenchSubject:
    artifact, setting = load(entrant.file), entrant.setting
    return BenchSubject(
        label=label,
        runner=setting.runner,
        model=str(entrant.file),
        precision=artifact.precision,
        input_shape=artifact.image_shape,
        input_dtype=artifact.input.dtype,
        batch_size=artifact.input.shape[0] or setting.batch_size,
        threads=setting.threads,
        session_options=setting.options,
        instances=setting.instances,
    )
