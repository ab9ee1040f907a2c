"""The search: files, then ways to run them, then float layers, then the leaders once more."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.errors import ResnetDeployError
from resnet_deploy.fp32_baseline import Fp32Baseline
from resnet_deploy.graph.constants import ints
from resnet_deploy.quantization.kernels import resolve_target
from resnet_deploy.results import Fidelity, Trial, TuningReport
from resnet_deploy.runners.base import infer_any
from resnet_deploy.runners.cpu import has_bfloat16, has_float16
from resnet_deploy.runners.openvino_runner import IN_BFLOAT16
from resnet_deploy.runners.registry import open_runner, runner_status
from resnet_deploy.spec import FileOptions, Objective, RunOptions, SessionSpec, TargetIsa
from resnet_deploy.tuning.candidate_files import CandidateFiles
from resnet_deploy.tuning.deadline import Deadline, TimeIsUp
from resnet_deploy.tuning.space import (
    files_elsewhere,
    first_file,
    first_setting,
    main_files,
    more_files,
    settings,
)
from resnet_deploy.tuning.store import Store
from resnet_deploy.tuning.track import Entrant, race

logger = logging.getLogger(__name__)

_RUNTIMES = ("openvino", "ort-openvino")
"""Runtimes that read an ONNX file, besides ONNX Runtime: a program can ship these."""

_RACE_SECONDS = 6.0
"""For a file that is timed alternately with the reference."""

_FINAL_SECONDS = 10.0
"""Per leader, in the last race."""

_FINAL_SHARE = 0.15
"""Of the time limit that is kept for the last race."""

_FINALISTS = 3
_LEAST_SECONDS = 3.0
"""With less time left, nothing new is begun."""

_SHORTEST_RACE = 1.0
_REFERENCE_SHARE = 0.2
"""Of the time limit that the race of the reference may take."""

_PROBE_IMAGES = 16
"""On which two ways to run a file are compared bit by bit."""


@dataclass
class Search:
    """One search; ``report`` grows, and is on disk after every step."""

    source: Artifact
    store: Store
    files: CandidateFiles
    baseline: Fp32Baseline
    report: TuningReport
    threads: int
    deadline: Deadline

    def __post_init__(self) -> None:
        self._earlier = self.report.seconds
        self._done = 0
        self._overrun = 0.0  # seconds that races took beyond theirs: starting processes

    def run(self) -> TuningReport:
        """Try everything that there is time for."""
        spec, environment = self.report.spec, self.report.environment
        own = self.source.preprocess.format
        target = resolve_target(TargetIsa.AUTO, environment.isa)
        usual = first_setting(spec.objective, self.threads)
        self._reference(first_file(own, target), usual)
        half = has_float16(environment.isa)
        for options in main_files(own, target, keep_input=spec.keep_input, half=half):
            self._try(options, usual)
        if not any(trial.recipe.int8 for trial in self._good()):
            self._try_float_layers(usual)
        self._try_settings()
        for options in more_files(own, target, keep_input=spec.keep_input):
            self._try(options, usual)
        self._final()
        self._keep(complete=not self.report.untried)
        return self.report

    def _reference(self, options: FileOptions, setting: RunOptions) -> None:
        """The first trial: made and measured even if the time is up."""
        if not self.report.trials:
            self.deadline(f"trying {options.name}", self._done, 0)
            file = self.files.file(options)
            entrant = Entrant(options, setting, file, self._fidelity(file, setting))
            self._race([entrant], reference_seconds(self.report.spec.time_limit))

    def _try(self, options: FileOptions, setting: RunOptions) -> None:
        """Make one file, measure its accuracy, and race it against the reference."""
        name = f"{options.name} on {setting.name}"
        tried = ((trial.recipe, trial.setting) for trial in self.report.trials)
        if (options, setting) in tried or not self._has_time(name):
            return
        try:
            with self.deadline.stopping(self._reserve):
                self._make_and_race(name, options, setting)
        except TimeIsUp:
            self._left_out(name)
        except ResnetDeployError as error:
            self._skip(name, error)

    def _make_and_race(self, name: str, options: FileOptions, setting: RunOptions) -> None:
        self.deadline(f"trying {name}", self._done, 0)
        file = self.files.file(options)
        known = next((t for t in self.report.trials if t.recipe == options), None)
        if known is not None and self._same_bits(file, known.setting, setting):
            fidelity = known.fidelity
        else:
            fidelity = self._fidelity(file, setting)
        self.deadline(f"timing {name}", self._done, 0)
        self._race([Entrant(options, setting, file, fidelity)], self._slice())

    def _fidelity(self, file: Path, setting: RunOptions) -> Fidelity:
        session = SessionSpec(threads=self.threads, options=setting.options)
        with closing(open_runner(setting.runner, file, session)) as runner:
            return self.baseline.fidelity(runner, file, session, load(file))

    def _try_settings(self) -> None:
        installed = {status.name for status in runner_status() if status.installed}
        runners = tuple(name for name in _RUNTIMES if name in installed)
        found = settings(
            self.report.spec.objective,
            self.threads,
            runners,
            fixed_batch=self.source.input.shape[0] is not None,
            bfloat16=has_bfloat16(self.report.environment.isa),
        )
        for setting in found:
            for options in self._worth_running(setting):
                self._try(options, setting)

    def _worth_running(self, setting: RunOptions) -> list[FileOptions]:
        """Return the files that ``setting`` is tried on; on ONNX Runtime the fastest there."""
        if setting.runner == "ort":
            mine = [trial for trial in self._good() if trial.setting.runner == "ort"]
            fastest = max(mine, key=lambda trial: trial.speed) if mine else self._closest()
            return [fastest.recipe]
        own = self.source.preprocess.format
        if IN_BFLOAT16 in setting.options:
            return [FileOptions(int8=False, input=own)]
        # A float file that is best in bfloat16 is not what other settings are tried on.
        others = [one for one in self.report.trials if IN_BFLOAT16 not in one.setting.options]
        best = (replace(self.report, trials=tuple(others)).best or self._closest()).recipe
        return list(files_elsewhere(best, own, strided_stem=self._strided_stem))

    @cached_property
    def _strided_stem(self) -> bool:
        graph = ir.from_proto(read_model(self.source.plain)).graph
        conv = next((node for node in graph if node.op_type == "Conv"), None)
        return conv is not None and ints(conv, "strides", (1, 1)) != (1, 1)

    def _same_bits(self, file: Path, known: RunOptions, new: RunOptions) -> bool:
        """Return whether two ways to run ``file`` on ONNX Runtime give the same bits."""
        if not known.runner == new.runner == "ort":
            return False
        artifact = load(file)
        random = np.random.default_rng(0)
        shape = (_PROBE_IMAGES, *artifact.image_shape)
        images = random.integers(0, 256, shape).astype(artifact.input.dtype)
        return bool(np.array_equal(_answer(file, known, images), _answer(file, new, images)))

    def _try_float_layers(self, setting: RunOptions) -> None:
        """No int8 file keeps the budget: leave layers in float until one does."""
        if not self._has_time("float layers"):
            return
        try:
            with self.deadline.stopping(self._reserve):
                options, file = self.files.mixed(self._closest().recipe)
                entrant = Entrant(options, setting, file, self._fidelity(file, setting))
                self._race([entrant], self._slice())
        except TimeIsUp:
            self._left_out("float layers")
        except ResnetDeployError as error:
            self._skip("float layers", error)

    def _closest(self) -> Trial:
        int8 = [trial for trial in self.report.trials if trial.recipe.int8]
        return max(int8, key=lambda trial: (trial.fidelity.agreement, trial.fidelity.sqnr_db))

    def _final(self) -> None:
        """Race the leaders again, longer, and all at once: the choice rests on it."""
        # The reference runs along in every race.
        first = self.report.trials[0]
        rivals = [trial for trial in self._good() if trial is not first]
        leaders = sorted(rivals, key=lambda trial: -trial.speed)[:_FINALISTS]
        if self.report.spec.objective is Objective.SIZE or not leaders:
            return
        left = self.deadline.left - self._overrun
        if left < _SHORTEST_RACE:
            self._left_out("the last race of the leaders")
            return
        self.deadline("the final", self._done, 0)
        entrants = [Entrant.of(trial, self.store.file(trial.recipe.name)) for trial in leaders]
        seconds = left / len(entrants)
        self._race(entrants, min(seconds, _FINAL_SECONDS))

    def _good(self) -> list[Trial]:
        return [trial for trial in self.report.trials if self.report.holds(trial)]

    @property
    def _reserve(self) -> float:
        """Seconds that are kept for the last race."""
        return min(_FINALISTS * _FINAL_SECONDS, _FINAL_SHARE * self.report.spec.time_limit)

    def _has_time(self, what: str) -> bool:
        if self.deadline.left > _LEAST_SECONDS + self._overrun + self._reserve:
            return True
        self._left_out(what)
        return False

    def _left_out(self, what: str) -> None:
        logger.info("no time left for %s", what)
        if what not in self.report.untried:
            self.report = replace(self.report, untried=(*self.report.untried, what))

    @property
    def _left_for_races(self) -> float:
        return self.deadline.left - self._reserve - self._overrun

    def _slice(self) -> float:
        return max(_SHORTEST_RACE, min(_RACE_SECONDS, self._left_for_races))

    def _race(self, entrants: Sequence[Entrant], seconds: float) -> None:
        """Time ``entrants``; keep their trials, each in place of what was known of it."""
        before = self.deadline.left
        trials = race(entrants, self.report, seconds=seconds)
        self._overrun = max(self._overrun, before - self.deadline.left - seconds)
        self._done += 1
        new = {(trial.recipe, trial.setting): trial for trial in trials}
        kept = [new.pop((trial.recipe, trial.setting), trial) for trial in self.report.trials]
        self._keep(trials=(*kept, *new.values()))

    def _skip(self, name: str, error: ResnetDeployError) -> None:
        logger.info("skipped %s: %s", name, error)
        self.report = replace(self.report, skipped={**self.report.skipped, name: str(error)})

    def _keep(self, *, trials: tuple[Trial, ...] | None = None, complete: bool = False) -> None:
        self.report = replace(
            self.report,
            trials=self.report.trials if trials is None else trials,
            seconds=self._earlier + self.deadline.limit - self.deadline.left,
            complete=complete,
        )
        self.store.save(self.report)


def reference_seconds(time_limit: float) -> float:
    """Return how long the reference is raced for."""
    return max(_SHORTEST_RACE, min(_RACE_SECONDS, _REFERENCE_SHARE * time_limit))


def _answer(file: Path, setting: RunOptions, images: Array) -> Array:
    session = SessionSpec(threads=setting.threads, options=setting.options)
    with closing(open_runner(setting.runner, file, session)) as runner:
        return infer_any(runner, images)
