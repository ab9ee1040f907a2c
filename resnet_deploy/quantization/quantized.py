"""An fp32 artifact becomes an int8 artifact: ranges once, then any mix of int8 and float layers."""

from __future__ import annotations

import glob
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.card import Accuracy
from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import make
from resnet_deploy.data.calibration import CalibrationImages
from resnet_deploy.errors import SpecError, UnsupportedGraphError
from resnet_deploy.models.batchnorm_statistics import ChannelStatistics
from resnet_deploy.progress import Progress, silent
from resnet_deploy.quantization.count_saturation import sums_can_overflow
from resnet_deploy.quantization.float_stages import fp32_stages, with_float
from resnet_deploy.quantization.inspection import inspect_int8
from resnet_deploy.quantization.inspection_openvino import inspect_openvino
from resnet_deploy.quantization.kernels import uses_matrix_product
from resnet_deploy.quantization.stages import Stage
from resnet_deploy.quantization.static import QuantizedNet, quantize_static
from resnet_deploy.results import BudgetReport, Inspection
from resnet_deploy.runners.openvino_runner import import_openvino
from resnet_deploy.spec import Overflow, QuantSpec, ResidualStream, Runtime

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a checkpoint tells of its activations, besides what images show.

    Args:
        statistics: by torch module, what BatchNorm remembers; where they say enough, they set the
            ranges instead of images.
        trained: by tensor, the range of quantization-aware training; goes before both.
        accuracy: of the int8 network, as training measured it.
    """

    statistics: Mapping[str, ChannelStatistics] = field(default_factory=dict)
    trained: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    accuracy: tuple[Accuracy, ...] = ()


NOTHING_KNOWN = Known()


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """The int8 parameters of every layer of ``fp32``, and where their ranges come from.

    ``threads`` are those of the calibration.
    """

    fp32: Artifact
    net: QuantizedNet
    spec: QuantSpec
    images: CalibrationImages
    known: Known
    data_free: bool
    threads: int = 0

    @cached_property
    def float_stream(self) -> Calibrated | None:
        """The same with the residual stream in float, or None where there is no such thing.

        The stream may be float already, its ranges may be trained, or the net has no sums.
        """
        spec = self.spec
        if spec.residual_stream is ResidualStream.FLOAT32 or self.known.trained:
            return None
        spec = replace(spec, residual_stream=ResidualStream.FLOAT32)
        try:
            return calibrate(self.fp32, self.images, spec, known=self.known, threads=self.threads)
        except (SpecError, UnsupportedGraphError) as error:
            logger.info("the residual stream can't be float: %s", error)
            return None

    def within(self, budget: BudgetReport, *, name: str | None = None) -> Quantized:
        """Return the int8 file that ``budget`` found; arguments and errors as of :meth:`quantized`.

        The residual stream is float in it if it is so there.
        """
        made = self.float_stream if budget.float_stream else self
        assert made is not None, "it was measured with it"
        return made.quantized(budget.float_layers, name=name, facts=budget.facts)

    def quantized(
        self,
        float_layers: Iterable[str] = (),
        *,
        stages: Iterable[Stage] = (),
        name: str | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Quantized:
        """Return the int8 file, and what ONNX Runtime makes of it.

        ``float_layers`` stay in float besides what the spec excludes, and so do ``stages``, which
        are some of :meth:`stages`, as they are in the fp32 file. ``name`` is that of the file,
        by default ``NAME.int8.onnx``; ``facts`` are what else the card says of this step.

        Raises:
            SpecError, UnsupportedGraphError: as ``QuantizedNet.write``.
            RunnerError: ONNX Runtime refuses the file.
        """
        assert self.fp32.card is not None, "what is quantized has a card"
        spec = self.spec
        exclude = excluding(spec.exclude, float_layers)
        step = {
            "fp32_sha256": self.fp32.made_sha256,
            "method": spec.calibration_method.value,
            "effort": spec.effort.value,
            "target_isa": spec.target_isa.value,
            "allow_overflow": spec.allow_overflow,
            "first_conv": spec.first_conv.value,
            **_stream_facts(spec),
            "exclude": list(spec.exclude),
            **self._data(),
            **(facts or {}),
        }
        net = self.net
        if in_float := {node for stage in stages for node in stage.nodes}:
            net = with_float(
                net,
                read_model(self.fp32.plain),
                in_float,
                preprocess=self.images.preprocess,
                first_conv=spec.first_conv,
            )
        graph = net.write(exclude)
        overflow = Overflow.POSSIBLE if sums_can_overflow(graph) else Overflow.NEVER
        step |= {"overflow": overflow.value, "guarantee": overflow.guarantee}
        card = self.fp32.card.remade().with_step("quantize", step)
        card = replace(card, accuracy=self.known.accuracy)
        artifact = make(graph, card, name or f"{self.fp32.path.stem}.int8.onnx")
        return Quantized(
            artifact=artifact,
            inspection=_inspected(artifact.path, exclude, spec.runtime),
            amx=uses_matrix_product(graph),
        )

    def stages(self) -> tuple[Stage, ...]:
        """Return the parts of the net that can stay in float, in order."""
        return fp32_stages(read_model(self.fp32.plain))

    def _data(self) -> dict[str, Any]:
        """Return what the card says about where the ranges come from."""
        if self.known.trained:
            return {"data": "quantization-aware training", "method": "as trained"}
        if self.data_free:
            return {"data": "batchnorm statistics"}
        return {
            "data": self.images.name,
            "data_sha256": self.images.fingerprint(),
            "samples": len(self.images),
            "synthetic": self.images.synthetic,
            "seed": self.spec.seed,
        }


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """An int8 file that is not saved yet, and the graph that its runtime really runs of it.

    ``amx``: its kernels are those for Intel's AMX.
    """

    artifact: Artifact
    inspection: Inspection
    amx: bool


def quantize(
    fp32: Artifact,
    images: CalibrationImages,
    spec: QuantSpec,
    *,
    known: Known = NOTHING_KNOWN,
    threads: int = 0,
    progress: Progress = silent,
) -> Quantized:
    """Return the int8 file of ``fp32``; arguments and errors as of :func:`calibrate`."""
    return calibrate(
        fp32, images, spec, known=known, threads=threads, progress=progress
    ).quantized()


def accepted(made: Quantized, *, allow_float_ops: bool) -> Artifact:
    """Return the file of ``made``; layers that ONNX Runtime leaves in float are never silent.

    Raises:
        UnsupportedGraphError: there are some, and they are not allowed.
    """
    left = [operator for operator in made.inspection.float_ops if not operator.accepted]
    if left:
        first = left[0]
        found = (
            f"{made.inspection.runtime} leaves {len(left)} operators in float, first "
            f"{first.op_type} of {first.layer}: {first.reason}"
        )
        if not allow_float_ops:
            raise UnsupportedGraphError(found)
        logger.warning("%s", found)
    return made.artifact


def calibrate(
    fp32: Artifact,
    images: CalibrationImages,
    spec: QuantSpec,
    *,
    known: Known = NOTHING_KNOWN,
    threads: int = 0,
    progress: Progress = silent,
) -> Calibrated:
    """Return the int8 parameters of all layers of ``fp32``.

    It has a card, and the target of ``spec`` is not ``auto``. ``images`` set the ranges where
    ``known``, what the checkpoint tells, does not. ``threads`` of 0 are the physical cores.

    Raises:
        UnsupportedGraphError: the file is int8 already, or has nothing to quantize.
        SpecError: a layer to exclude does not exist, or other weights are asked for than trained.
        CheckpointError: the trained ranges are of another network.
        DatasetError: an image can't be read, or an activation is NaN or infinite.
        MissingDependencyError: it is for OpenVINO, which looks at it, and is not installed.
    """
    if spec.runtime is Runtime.OPENVINO:
        import_openvino()

    def calibrated(statistics: Mapping[str, ChannelStatistics] | None) -> Calibrated:
        net = quantize_static(
            read_model(fp32.plain),
            spec,
            images,
            images=len(images),
            synthetic=images.synthetic,
            preprocess=images.preprocess,
            statistics=statistics,
            trained=known.trained or None,
            threads=threads,
            progress=progress,
        )
        return Calibrated(
            fp32=fp32,
            net=net,
            spec=spec,
            images=images,
            known=known,
            data_free=statistics is not None,
            threads=threads,
        )

    if known.statistics and not known.trained:
        try:
            return calibrated(known.statistics)
        except UnsupportedGraphError as error:
            logger.info("calibrating on synthetic images: %s", error)
    return calibrated(None)


def _inspected(path: Path, exclude: tuple[str, ...], runtime: Runtime) -> Inspection:
    """Return what ``runtime`` makes of the int8 file at ``path``."""
    inspect = inspect_openvino if runtime is Runtime.OPENVINO else inspect_int8
    return inspect(path, exclude)


def _stream_facts(spec: QuantSpec) -> dict[str, str]:
    """Return what the card says of a residual stream in float; of one in u8 nothing."""
    if spec.residual_stream is ResidualStream.UINT8:
        return {}
    return {"residual_stream": spec.residual_stream.value, "runtime": spec.runtime.value}


def excluding(exclude: tuple[str, ...], float_layers: Iterable[str]) -> tuple[str, ...]:
    """Return the globs ``exclude`` and those that match ``float_layers`` literally."""
    return (*exclude, *(glob.escape(name) for name in float_layers))
