"""The search: files, then ways to run them, then float layers, then the leaders once more."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.onnx_file import Artifact, load, read_model
from resnet_deploy.errors import ResnetDeployError
from resnet_deploy.fp32_baseline import Fp32Baseline
from resnet_deploy.graph.constants import ints
from resnet_deploy.progress import Progress
from resnet_deploy.quantization.kernels import resolve_target
from resnet_deploy.results import Fidelity, Trial, TuningReport
from resnet_deploy.runners.base import infer_any
from resnet_deploy.runners.registry import open_runner, runner_status
from resnet_deploy.spec import FileOptions, Objective, RunOptions, SessionSpec, TargetIsa
from resnet_deploy.tuning.candidate_files import CandidateFiles
from resnet_deploy.tuning.space import (
    first_recipe,
    first_setting,
    main_recipes,
    more_recipes,
    recipes_elsewhere,
    settings,
)
from resnet_deploy.tuning.store import Store
from resnet_deploy.tuning.track import Entrant, race

logger = logging.getLogger(__name__)

_RUNTIMES = ("openvino", "ort-openvino")
"""Runtimes that read an ONNX file, besides ONNX Runtime: a program can ship these."""

_RACE_SECONDS = 6.0
"""Per file that is timed in turns with the reference."""

_FINAL_SECONDS = 10.0
"""Per leader, in the last race."""

_FINAL_SHARE = 0.15
"""Of the time limit that is kept for the last race."""

_FINALISTS = 3
_LEAST_SECONDS = 3.0
"""With less time left, nothing new is begun."""

_PROBE_IMAGES = 16
"""On which two ways to run a file are compared bit by bit."""


class Search:
    """One search; ``report`` grows, and is on disk after every step."""

    def __init__(
        self,
        source: Artifact,
        store: Store,
        files: CandidateFiles,
        baseline: Fp32Baseline,
        report: TuningReport,
        threads: int,
        progress: Progress,
    ) -> None:
        self._source = source
        self._store = store
        self._files = files
        self._baseline = baseline
        self._report = report
        self._threads = threads
        self._progress = progress
        self._begin = time.monotonic()
        self._earlier = report.seconds
        self._in_time = True
        self._done = 0

    def run(self) -> TuningReport:
        """Try everything that there is time for."""
        spec, environment = self._report.spec, self._report.environment
        own = self._source.preprocess.format
        target = resolve_target(TargetIsa.AUTO, environment.isa)
        usual = first_setting(spec.objective, self._threads)
        self._reference(first_recipe(own, target), usual)
        for recipe in main_recipes(own, target, keep_input=spec.keep_input):
            self._try(recipe, usual)
        if all(trial.recipe.int8 is False for trial in self._good()):
            self._try_float_layers(usual)
        self._try_settings()
        for recipe in more_recipes(own, target, keep_input=spec.keep_input):
            self._try(recipe, usual)
        self._final()
        self._keep(complete=self._in_time)
        return self._report

    def _reference(self, recipe: FileOptions, setting: RunOptions) -> None:
        """The first trial: made and measured even if the time is up."""
        if not self._report.trials:
            self._progress(f"trying {recipe.name}", self._done, 0)
            file = self._files.file(recipe)
            self._race(recipe, setting, file, self._fidelity(file, setting), _RACE_SECONDS)

    def _try(self, recipe: FileOptions, setting: RunOptions) -> None:
        """Make one file, measure its accuracy, and race it against the reference."""
        name = f"{recipe.name} on {setting.name}"
        if self._is_known(recipe, setting) or not self._has_time(name):
            return
        self._progress(f"trying {name}", self._done, 0)
        try:
            file = self._files.file(recipe)
            known = next((one for one in self._report.trials if one.recipe == recipe), None)
            if known is not None and self._same_bits(file, known.setting, setting):
                fidelity = known.fidelity
            else:
                fidelity = self._fidelity(file, setting)
            self._race(recipe, setting, file, fidelity, self._slice(_RACE_SECONDS))
        except ResnetDeployError as error:
            self._skip(name, error)

    def _race(
        self,
        recipe: FileOptions,
        setting: RunOptions,
        file: Path,
        fidelity: Fidelity,
        seconds: float,
    ) -> None:
        entrant = Entrant(recipe, setting, file, fidelity)
        self._add(race([entrant], self._report, seconds=seconds))

    def _fidelity(self, file: Path, setting: RunOptions) -> Fidelity:
        session = SessionSpec(threads=self._threads, options=setting.options)
        with closing(open_runner(setting.runner, file, session)) as runner:
            return self._baseline.fidelity(runner, load(file))

    def _try_settings(self) -> None:
        installed = {one.name for one in runner_status() if one.installed}
        runners = tuple(name for name in _RUNTIMES if name in installed)
        fixed = self._source.input.shape[0] is not None
        choices = settings(self._report.spec.objective, self._threads, runners, fixed_batch=fixed)
        for setting in choices:
            for recipe in self._worth_running(setting):
                self._try(recipe, setting)

    def _worth_running(self, setting: RunOptions) -> list[FileOptions]:
        """Return the files that ``setting`` is tried on.

        On ONNX Runtime the fastest one there.
        """
        if setting.runner == "ort":
            mine = [trial for trial in self._good() if trial.setting.runner == "ort"]
            fastest = max(mine, key=lambda trial: trial.speed) if mine else self._closest()
            return [fastest.recipe]
        best = (self._report.best or self._closest()).recipe
        own = self._source.preprocess.format
        return list(recipes_elsewhere(best, own, strided_stem=self._strided_stem))

    @cached_property
    def _strided_stem(self) -> bool:
        graph = ir.from_proto(read_model(self._source.path)).graph
        conv = next((node for node in graph if node.op_type == "Conv"), None)
        return conv is not None and ints(conv, "strides", (1, 1)) != (1, 1)

    def _same_bits(self, file: Path, one: RunOptions, other: RunOptions) -> bool:
        """Return whether two ways to run ``file`` on ONNX Runtime give the same bits."""
        if not one.runner == other.runner == "ort":
            return False
        artifact = load(file)
        random = np.random.default_rng(0)
        shape = (_PROBE_IMAGES, *artifact.image_shape)
        images = random.integers(0, 256, shape).astype(artifact.input.dtype)
        first, second = (_answer(file, setting, images) for setting in (one, other))
        return bool(np.array_equal(first, second))

    def _try_float_layers(self, setting: RunOptions) -> None:
        """No int8 file keeps the budget: leave layers in float until one does."""
        if not self._has_time("float layers"):
            return
        try:
            recipe, file = self._files.mixed(self._closest().recipe)
            fidelity = self._fidelity(file, setting)
            self._race(recipe, setting, file, fidelity, self._slice(_RACE_SECONDS))
        except ResnetDeployError as error:
            self._skip("float layers", error)

    def _closest(self) -> Trial:
        int8 = [trial for trial in self._report.trials if trial.recipe.int8]
        return max(int8, key=lambda trial: (trial.fidelity.agreement, trial.fidelity.sqnr_db))

    def _final(self) -> None:
        """Race the leaders again, longer, and all at once: what follows rests on it."""
        # The reference runs along in every race.
        first = self._report.trials[0]
        rivals = [trial for trial in self._good() if trial is not first]
        leaders = sorted(rivals, key=lambda trial: -trial.speed)[:_FINALISTS]
        if self._report.spec.objective is Objective.SIZE or not leaders:
            return
        self._progress("the final", self._done, 0)
        entrants = [Entrant.of(trial, self._store.file(trial.recipe.name)) for trial in leaders]
        seconds = max(_RACE_SECONDS, self._left()) / len(entrants)
        self._add(race(entrants, self._report, seconds=min(seconds, _FINAL_SECONDS)))

    def _good(self) -> list[Trial]:
        return [trial for trial in self._report.trials if self._report.holds(trial)]

    def _is_known(self, recipe: FileOptions, setting: RunOptions) -> bool:
        return any(
            trial.recipe == recipe and trial.setting == setting for trial in self._report.trials
        )

    def _has_time(self, what: str) -> bool:
        if self._left() > _LEAST_SECONDS + self._reserve:
            return True
        logger.info("no time left for %s", what)
        self._in_time = False
        return False

    def _left(self) -> float:
        return self._report.spec.time_limit - (time.monotonic() - self._begin)

    @property
    def _reserve(self) -> float:
        """Seconds that are kept for the final."""
        return min(_FINALISTS * _FINAL_SECONDS, _FINAL_SHARE * self._report.spec.time_limit)

    def _slice(self, seconds: float) -> float:
        return max(1.0, min(seconds, self._left()))

    def _add(self, trials: Sequence[Trial]) -> None:
        """Keep ``trials``, each in place of what was known of it."""
        self._done += 1
        new = {(trial.recipe, trial.setting): trial for trial in trials}
        kept = [new.pop((one.recipe, one.setting), one) for one in self._report.trials]
        self._keep(trials=(*kept, *new.values()))

    def _skip(self, name: str, error: ResnetDeployError) -> None:
        logger.info("skipped %s: %s", name, error)
        self._report = replace(self._report, skipped={**self._report.skipped, name: str(error)})

    def _keep(self, *, trials: tuple[Trial, ...] | None = None, complete: bool = False) -> None:
        self._report = replace(
            self._report,
            trials=self._report.trials if trials is None else trials,
            seconds=self._earlier + time.monotonic() - self._begin,
            complete=complete,
        )
        self._store.save(self._report)


def _answer(file: Path, setting: RunOptions, images: Array) -> Array:
    session = SessionSpec(threads=setting.threads, options=setting.options)
    with closing(open_runner(setting.runner, file, session)) as runner:
        return infer_any(runner, images)
