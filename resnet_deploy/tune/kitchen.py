"""Makes the files that recipes describe, each once."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from resnet_deploy.artifact.onnx_file import Artifact, read_model, save
from resnet_deploy.errors import RunnerError
from resnet_deploy.pipeline import quantize_file
from resnet_deploy.progress import Progress
from resnet_deploy.results import Environment
from resnet_deploy.rewrites.bake_input import bake_input
from resnet_deploy.sensitivity import globs
from resnet_deploy.spec import Budget, FileOptions, QuantSpec, TuneSpec
from resnet_deploy.tune.store import Store


class Kitchen:
    """Makes files from ``source``; what was made before, by an earlier search too, is taken.

    Args:
        source: the fp32 file, with a card.
        store: where the files go.
        calibration: images that set the int8 ranges.
        samples: how many of them.
        data: images on which a search for float layers measures accuracy.
        spec: what is looked for.
        environment: where this runs.
        progress: told while a file is made.
    """

    def __init__(
        self,
        source: Artifact,
        store: Store,
        calibration: Path,
        samples: int,
        data: Path,
        spec: TuneSpec,
        environment: Environment,
        progress: Progress,
    ) -> None:
        self._source = source
        self._store = store
        self._calibration = calibration
        self._samples = samples
        self._data = data
        self._spec = spec
        self._environment = environment
        self._progress = progress

    def make(self, recipe: FileOptions) -> Path:
        """Return the file of ``recipe``.

        Raises:
            ResnetDeployError: the network can't be made into it.
        """
        file = self._store.file(recipe.name)
        if file.exists():
            return file
        return self._int8(recipe) if recipe.int8 else self._fp32(recipe)

    def mixed(self, recipe: FileOptions) -> tuple[FileOptions, Path]:
        """Return ``recipe`` with as many float layers as the budget needs, and its file.

        Raises:
            RunnerError: all layers in float don't keep it either, or the search found none.
        """
        with tempfile.TemporaryDirectory(dir=self._store.folder) as folder:
            made = Path(folder) / "mixed.onnx"
            kept = self._quantize(recipe, made, self._spec.budget)
            if not kept:
                raise RunnerError("no layer in float brought the accuracy back")
            found = replace(recipe, float_layers=kept)
            return found, self._store.adopt(made, found.name)

    def _fp32(self, recipe: FileOptions) -> Path:
        card = self._source.card
        assert card is not None, "fp32_source gives one"
        preprocess = replace(card.preprocess, format=recipe.input)
        card = replace(card.remade(), preprocess=preprocess)
        model = read_model(self._source.path)
        if recipe.input is not self._source.preprocess.format:
            model = bake_input(model, card.preprocess)
        return save(model, self._store.file(recipe.name), card).path

    def _int8(self, recipe: FileOptions) -> Path:
        file = self._store.file(recipe.name)
        self._quantize(recipe, file, None)
        return file

    def _quantize(self, recipe: FileOptions, out: Path, budget: Budget | None) -> tuple[str, ...]:
        deployment = quantize_file(
            self._source.path,
            out,
            calibration=self._calibration,
            spec=QuantSpec(
                calibration_method=recipe.method,
                effort=recipe.effort,
                target_isa=recipe.target_isa,
                first_conv=recipe.first_conv,
                exclude=globs((), recipe.float_layers),
                samples=self._samples,
                seed=self._spec.seed,
                calibration_cache=self._store.cache,
            ),
            environment=self._environment,
            verify=False,
            input_format=recipe.input,
            threads=self._spec.threads,
            data=None if budget is None else self._data,
            budget=budget,
            progress=self._progress,
        )
        return () if deployment.budget is None else deployment.budget.best.float_layers
