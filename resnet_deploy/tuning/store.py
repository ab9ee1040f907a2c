"""What tuning keeps on disk: every file tried, the evidence, and the best file so far."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.card import Accuracy
from resnet_deploy.artifact.files import check_within, sha256_of, write_atomically
from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import load, save, write
from resnet_deploy.errors import ArtifactError, SpecError
from resnet_deploy.results import Trial, TuningReport, read_tuning, to_dict
from resnet_deploy.runners.ort_config import TRAVELLING, set_ort_config
from resnet_deploy.spec import SessionSpec
from resnet_deploy.visible import visible_json


class Store:
    """The output folder of one search.

    ``tune.json`` and the best file are replaced whole, so a search that is killed at any moment
    leaves both usable, and the next one with the same request takes the trials up.

    Args:
        folder: made by :meth:`make`.
        name: stem of the best file, ``NAME.tuned.onnx``.

    Raises:
        ArtifactError: its files would go where a link in it leads.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.best = folder / f"{name}.tuned.onnx"
        self.evidence = folder / "tune.json"
        self.cache = folder / "cache"
        self._trials = folder / "trials"
        self._known: set[str] = set()
        check_within(folder, ["trials/file", "cache/file"])

    def make(self) -> None:
        """Make the folder, if it isn't there, before the work.

        Raises:
            ArtifactError: it can't be made.
        """
        try:
            self._trials.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArtifactError(
                f"cannot make the folder {self.evidence.parent}: {error.strerror}: name another "
                "with -o"
            ) from error

    def file(self, name: str) -> Path:
        """Return where the file of the options called ``name`` is, or will be."""
        return self._trials / f"{name}.onnx"

    def has(self, name: str) -> bool:
        """Return whether the file of the options called ``name`` is of this search.

        What the evidence does not name may be of another network: of a search that was killed
        before it had any, or whose evidence was deleted.
        """
        return self.file(name).name in self._known

    def keep(self, artifact: Artifact, name: str) -> Path:
        """Write the file of the options called ``name``; return where it is.

        Raises:
            ArtifactError: it can't be written, or another tool's file is there.
        """
        path = write(artifact, self.file(name)).path
        self._known.add(path.name)
        return path

    def resume(self, report: TuningReport) -> TuningReport:
        """Return ``report`` with the trials of an earlier search for the same, if there was one.

        Trials whose file is gone or was changed are left out.

        Raises:
            SpecError: the folder holds a search for something else.
        """
        if not self.evidence.exists():
            return report
        try:
            earlier = read_tuning(self.evidence)
        except ArtifactError as error:
            raise SpecError(f"{error}: name another folder with -o, or delete it") from error
        if _request(earlier) != _request(report):
            raise SpecError(
                f"{self.evidence} is of another search (model, data, pictures, budget, objective "
                "or machine): name another folder with -o, or delete it"
            )
        if not earlier.trials or not self._is_there(earlier.trials[0]):
            return report  # all speeds are against the first one
        trials = tuple(trial for trial in earlier.trials if self._is_there(trial))
        self._known = {trial.file for trial in trials}
        return replace(
            report,
            trials=trials,
            skipped=earlier.skipped,
            seconds=earlier.seconds,
            least_seconds=earlier.least_seconds,
        )

    def _is_there(self, trial: Trial) -> bool:
        file = self._trials / trial.file
        return file.is_file() and sha256_of(file) == trial.sha256

    def save(self, report: TuningReport) -> None:
        """Write the best file of ``report``, then the evidence."""
        if report.best is not None:
            self._write_best(report.best, report)
        write_atomically(self.evidence, visible_json(to_dict(report), indent=1))

    def _write_best(self, best: Trial, report: TuningReport) -> None:
        """Copy the file of ``best``, with what to run it with in its metadata."""
        source = self._trials / best.file
        artifact, model = load(source), read_model(source)
        if artifact.card is None:  # the evidence of an earlier search is anyone's
            raise ArtifactError(
                f"{source} has no card, so no search made it: delete {self.evidence}, or name "
                "another folder with -o"
            )
        setting, fidelity, measured = best.setting, best.fidelity, best.measured
        if setting.runner.startswith("ort"):
            # The others don't travel in a file; the card and the report name them.
            options = tuple(entry for entry in setting.options if entry[0] in TRAVELLING)
            set_ort_config(model, SessionSpec(threads=setting.threads, options=options))
        card = artifact.card.with_step(
            "tune",
            {
                "objective": report.spec.objective.value,
                "runner": setting.runner,
                "threads": setting.threads,
                "instances": setting.instances,
                "batch_size": setting.batch_size,
                "options": dict(setting.options),
                "data": fidelity.data,
                "samples": fidelity.samples,
                "agreement": round(fidelity.agreement, 6),
                "drop": None if fidelity.drop is None else round(fidelity.drop, 4),
                # Against the default file on ONNX Runtime, which itself has none.
                "ratio": None if measured is None else round(measured[0], 4),
                "ratio_interval": None
                if measured is None
                else [round(bound, 4) for bound in measured[1]],
                "cpu": report.environment.cpu,
                "trial_sha256": best.sha256,
            },
        )
        if fidelity.top1 is not None:
            top1 = round(fidelity.top1, 6)
            found = Accuracy(data=fidelity.data, samples=fidelity.samples, top1=top1)
            card = card.with_accuracy(found)
        save(model, self.best, card)


def _request(report: TuningReport) -> tuple[object, ...]:
    """Return what must be equal for old trials to count; the time limit may change."""
    environment = report.environment
    return (
        report.sha256,
        report.data,
        report.preprocess,
        replace(report.spec, time_limit=1.0),
        environment.cpu,
        environment.cores,
        environment.versions,
    )
