"""The files that options describe, each made once: what an earlier search made is taken."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import make
from resnet_deploy.data.datasets import Data
from resnet_deploy.data.preprocess import input_preprocess
from resnet_deploy.deployment.float_layers import FloatLayers
from resnet_deploy.deployment.half import half_file
from resnet_deploy.deployment.plan import for_cpu, images_for
from resnet_deploy.deployment.source import with_input
from resnet_deploy.errors import RunnerError
from resnet_deploy.progress import Progress
from resnet_deploy.quantization.quantized import Calibrated, calibrate, excluding
from resnet_deploy.results import Environment
from resnet_deploy.spec import ClusterSpec, FileOptions, QuantSpec, ResidualStream, TuneSpec
from resnet_deploy.spec.deploy import DeploySpec
from resnet_deploy.tuning.store import Store


@dataclass(frozen=True, kw_only=True)
class CandidateFiles:
    """Makes files from ``source``; a file that is there already is not made again.

    Args:
        source: the fp32 file, with a card.
        store: where the files go.
        calibration: images that set the int8 ranges, ``samples`` of them.
        samples: see ``calibration``.
        data: images on which a search for float layers measures accuracy.
        spec: what is looked for.
        cluster: what calibrates, if it is not this machine.
        environment: where this runs.
        progress: told while a file is made.
    """

    source: Artifact
    store: Store
    calibration: Data
    samples: int
    data: Data
    spec: TuneSpec
    cluster: ClusterSpec | None
    environment: Environment
    progress: Progress

    def file(self, options: FileOptions) -> Path:
        """Return the file of ``options``.

        Raises:
            ResnetDeployError: the network can't be made into it.
        """
        if self.store.has(options.name):
            return self.store.file(options.name)
        return self.store.keep(self._made(options), options.name)

    def mixed(self, options: FileOptions) -> tuple[FileOptions, Path]:
        """Return ``options`` with as much in float as the budget needs, and its file.

        That is the residual stream first, then layers.

        Raises:
            RunnerError: all layers in float don't keep it either, or the search found none.
        """
        calibrated = self._calibrated(options)
        wanted = DeploySpec(
            quant=calibrated.spec, budget=self.spec.budget, threads=self.spec.threads
        )
        layers = FloatLayers(
            calibrated.fp32, calibrated.images, wanted, data=self.data, progress=self.progress
        )
        _, budget = layers.find(calibrated, lambda _: None)
        if budget is None or not (budget.float_layers or budget.float_stream):
            raise RunnerError("nothing in float brought the accuracy back")
        found = replace(options, float_layers=budget.float_layers)
        if budget.float_stream:
            found = replace(found, residual_stream=ResidualStream.FLOAT32)
        made = calibrated.within(budget)
        return found, self.store.keep(made.artifact, found.name)

    def _made(self, options: FileOptions) -> Artifact:
        if options.int8:
            return self._calibrated(options).quantized().artifact
        fp32 = self._fp32(options)
        if not options.half:
            return fp32
        spec = QuantSpec(samples=self.samples, seed=self.spec.seed)
        images = images_for(spec, self.calibration, input_preprocess(fp32))
        threads, progress = self.spec.threads, self.progress
        return half_file(fp32, images, fp32.path.name, threads=threads, progress=progress)[0]

    def _fp32(self, options: FileOptions) -> Artifact:
        fp32 = with_input(self.source, options.input)
        assert fp32.card is not None, "with_first_card gives one"
        return make(read_model(fp32.plain), fp32.card.remade(), f"{options.name}.onnx")

    def _calibrated(self, options: FileOptions) -> Calibrated:
        spec = QuantSpec(
            calibration_method=options.method,
            effort=options.effort,
            target_isa=options.target_isa,
            first_conv=options.first_conv,
            residual_stream=options.residual_stream,
            runtime=options.runtime,
            exclude=excluding((), options.float_layers),
            samples=self.samples,
            seed=self.spec.seed,
            cluster=self.cluster,
            calibration_cache=self.store.cache,
        )
        spec = for_cpu(spec, self.environment)
        fp32 = with_input(self.source, options.input)
        return calibrate(
            fp32,
            images_for(spec, self.calibration, input_preprocess(fp32)),
            spec,
            threads=self.spec.threads,
            progress=self.progress,
        )
