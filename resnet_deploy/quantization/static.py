"""An fp32 graph becomes an int8 graph: rewrite, plan, observe, choose parameters, write Q/DQ.

A little long: it is the one list of these steps, in their order.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field

import onnx
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.errors import CheckpointError, SpecError, UnsupportedGraphError, one_line
from resnet_deploy.graph.skeleton import check_model
from resnet_deploy.models.batchnorm_statistics import ChannelStatistics
from resnet_deploy.passes.clean import clean
from resnet_deploy.processes.matrix_products import one_thread_each
from resnet_deploy.progress import Progress, silent
from resnet_deploy.quantization.border_factors import CODES_KEY
from resnet_deploy.quantization.calibrate import CalibrationCache, observe
from resnet_deploy.quantization.data_free import expected_histograms, expected_moments
from resnet_deploy.quantization.equalize import equalize
from resnet_deploy.quantization.exact_sums import align_sums
from resnet_deploy.quantization.fused_sums import write_pairs
from resnet_deploy.quantization.histogram import Histogram
from resnet_deploy.quantization.moments import layer_moments
from resnet_deploy.quantization.plan import Plan
from resnet_deploy.quantization.prepare import planned, prepare
from resnet_deploy.quantization.qdq import write_qdq
from resnet_deploy.quantization.ranges import QuantizationParameters, Range, choose_range
from resnet_deploy.quantization.relu_sums import ReluTerm, extended, relu_terms
from resnet_deploy.quantization.rescale import Exponents
from resnet_deploy.quantization.residual_stream import with_channel_factors
from resnet_deploy.quantization.responses import responses
from resnet_deploy.quantization.weights import (
    QuantizedWeights,
    layer_inputs,
    quantize_layers,
)
from resnet_deploy.rewrites.pixel_input import PIXELS_KEY
from resnet_deploy.runners.cpu import default_threads
from resnet_deploy.spec import (
    CalibrationMethod,
    Effort,
    InputContract,
    QuantSpec,
    ResidualStream,
)

logger = logging.getLogger(__name__)

Batches = Iterable[Array]
"""Preprocessed calibration images, float32 ``(N, C, H, W)``; it is iterated more than once."""


@dataclass(frozen=True)
class QuantizedNet:
    """A network with the int8 parameters of all its layers; any of them can stay in float.

    ``prepared`` is the fp32 graph rewritten for int8. ``parameters`` are the scales and zero points
    of activations by tensor, ``weights`` go by node. ``exponents`` are those of the factors that
    channels have, by tensor.
    """

    prepared: onnx.ModelProto
    parameters: Mapping[str, QuantizationParameters]
    weights: Mapping[str, QuantizedWeights]
    exponents: Mapping[str, Exponents] = field(default_factory=dict)

    def write(self, exclude: tuple[str, ...] = ()) -> onnx.ModelProto:
        """Return the int8 graph in QDQ form, with the layers that match ``exclude`` in float.

        Raises:
            SpecError: a glob matches no layer.
            UnsupportedGraphError: there is nothing left to quantize.
        """
        graph, plan = planned(self.prepared, exclude)
        write_qdq(graph, plan, self.parameters, self.weights)
        write_pairs(graph.graph)
        clean(graph)  # what QuantizeLinear now does by itself
        quantized = ir.to_proto(graph)
        # The rewritten stem changed inner shapes; they are inferred anew.
        del quantized.graph.value_info[:]
        try:
            check_model(quantized)
        except onnx.checker.ValidationError as error:
            raise UnsupportedGraphError(
                f"the int8 graph is not valid ONNX: {one_line(error)}"
            ) from error
        return quantized


def quantize_static(
    model: onnx.ModelProto,
    spec: QuantSpec,
    batches: Batches,
    *,
    images: int,
    synthetic: bool = False,
    preprocess: InputContract | None = None,
    statistics: Mapping[str, ChannelStatistics] | None = None,
    trained: Mapping[str, tuple[float, float]] | None = None,
    threads: int = 0,
    progress: Progress = silent,
) -> QuantizedNet:
    """Return the int8 parameters of ``model``; :meth:`QuantizedNet.write` makes the graph.

    Args:
        model: fp32; a foreign file is cleaned by the default passes first.
        spec: how ranges are chosen, how weights are rounded, and what stays float.
        batches: preprocessed calibration images.
        images: how many they are.
        synthetic: they are not pictures, so channels are not equalised by what they show.
        preprocess: how they were made from pixels; the input's u8 codes are then the pixels
            themselves. None: the input gets a range like any other tensor.
        statistics: by torch module, what BatchNorm tells about the layers; given, only tensors
            in front of the first layer are observed on ``batches``.
        trained: by tensor, the range that quantization-aware training used. Given, they are taken
            as they are, each weight is rounded alone as it was there, and nothing is observed.
        threads: of the calibration; 0 means the physical cores allowed here.
        progress: called after every batch.

    Raises:
        UnsupportedGraphError: the model is int8 already, or has nothing to quantize, or
            ``statistics`` don't say enough about it.
        SpecError: ``spec.exclude`` names a layer that does not exist, or ``spec`` asks for other
            weights than were trained.
        CheckpointError: ``trained`` has no range for a tensor.
        DatasetError: an activation is NaN or infinite.
    """
    prepared = prepare(
        model,
        preprocess,
        spec.first_conv,
        residual_stream=spec.residual_stream,
        runtime=spec.runtime,
    )
    del model  # copies of the weights count in the peak memory
    if spec.exclude:
        planned(prepared, spec.exclude)  # a wrong glob is named before the work
    if trained is not None:
        return _as_trained(prepared, spec, trained, progress)
    exponents: Mapping[str, Exponents] = {}
    if statistics is None and not synthetic:
        found = equalize(
            prepared,
            batches,
            images=images,
            thorough=spec.effort is Effort.BEST,
            threads=threads,
            progress=progress,
        )
        prepared, exponents = found.model, found.exponents
    if spec.residual_stream is ResidualStream.FLOAT32 and statistics is None:
        prepared = with_channel_factors(
            prepared, batches, images=images, threads=threads, progress=progress
        )
    graph, plan = planned(prepared)
    known = {} if statistics is None else expected_histograms(graph, plan, statistics)
    histograms = known | _observed(prepared, plan, known, spec, batches, images, threads, progress)
    gated = responses(plan)
    terms = {term.value: term for term in relu_terms(plan)}
    parameters = {}
    for value in plan.ranged:
        name = str(value.name)
        counted = histograms.get(name)
        inactive = None
        if counted is None and name in terms:
            counted = histograms[terms[name].active]
            inactive = histograms[terms[name].inactive]
        if counted is not None:
            chosen = choose_range(counted, spec.calibration_method, gated.get(name), inactive)
            parameters[name] = QuantizationParameters.of(chosen)
    for value in plan.ranged:
        if (pixels := _pixel_range(value)) is not None:
            parameters[str(value.name)] = QuantizationParameters.of(pixels)
    parameters = align_sums(graph, plan, parameters)
    inputs = layer_inputs(graph, plan, parameters)
    if statistics is None:
        moments = layer_moments(
            prepared,
            inputs,
            batches,
            images=images,
            covariance=spec.effort is Effort.BEST,
            threads=threads,
            progress=progress,
        )
    else:
        moments = expected_moments(graph, plan, statistics, inputs)
    best = spec.effort is Effort.BEST
    with nullcontext() if best else one_thread_each():  # the moments are computed here as well
        weights = quantize_layers(
            graph,
            plan,
            parameters,
            spec.target_isa,
            moments,
            allow_overflow=spec.allow_overflow,
            thorough=best,
            threads=1 if best else threads or default_threads(),
            progress=progress,
        )
    return QuantizedNet(prepared, _of_every_tensor(plan, parameters), weights, exponents)


def _as_trained(
    prepared: onnx.ModelProto,
    spec: QuantSpec,
    trained: Mapping[str, tuple[float, float]],
    progress: Progress,
) -> QuantizedNet:
    """Return the int8 parameters that quantization-aware training computed with.

    Scales of Adds were aligned before the training.
    """
    check_as_trained(spec)
    graph, plan = planned(prepared)
    parameters = {}
    for value in plan.ranged:
        name, known = str(value.name), _pixel_range(value)
        if known is None and name not in trained:
            raise CheckpointError(
                f"the weights' card has no trained range for {name}: it is of another network or "
                "output; export what was trained, or add --no-int8"
            )
        parameters[name] = QuantizationParameters.of(known or Range(*trained[name]))
    weights = quantize_layers(
        graph,
        plan,
        parameters,
        spec.target_isa,
        allow_overflow=spec.allow_overflow,
        trained=True,
        progress=progress,
    )
    return QuantizedNet(prepared, _of_every_tensor(plan, parameters), weights)


def check_as_trained(spec: QuantSpec) -> None:
    """Refuse what would change the int8 parameters of quantization-aware training.

    Raises:
        SpecError: ``spec`` asks for other weights than were trained.
    """
    if spec.residual_stream is not ResidualStream.UINT8:
        raise SpecError(
            "--residual-stream float32 has other scales than quantization-aware training computed "
            "with: leave it out"
        )
    if spec.effort is Effort.BEST:
        raise SpecError(
            "--effort best rounds weights anew, and those of quantization-aware training are "
            "right as they are: leave it out"
        )


def _of_every_tensor(
    plan: Plan, parameters: Mapping[str, QuantizationParameters]
) -> dict[str, QuantizationParameters]:
    """A tensor that moves the codes of another needs its own when that other stays in float."""
    return {str(value.name): parameters[str(source.name)] for value, source in plan.tensors.items()}


def _observed(
    prepared: onnx.ModelProto,
    plan: Plan,
    known: Mapping[str, Histogram],
    spec: QuantSpec,
    batches: Batches,
    images: int,
    threads: int,
    progress: Progress,
) -> dict[str, Histogram]:
    """Return a histogram of every tensor that gets a range, except of pixels and those ``known``.

    What a sum's ReLU takes away is told by the images alone: where BatchNorm tells the rest, it is
    left out.
    """
    names = [
        str(value.name)
        for value in plan.ranged
        if str(value.name) not in known and _pixel_range(value) is None
    ]
    terms: dict[str, ReluTerm] = {}
    if not known and spec.calibration_method is CalibrationMethod.MSE:
        terms = {term.value: term for term in relu_terms(plan)}
    names = [name for name in names if name not in terms]
    names += [name for term in terms.values() for name in (term.active, term.inactive)]
    if not names:
        return {}
    cache = CalibrationCache(folder=spec.calibration_cache) if spec.calibration_cache else None
    with extended(prepared, [node for term in terms.values() for node in term.nodes()]):
        return observe(
            prepared,
            names,
            batches,
            images=images,
            threads=threads,
            workers=spec.workers,
            cluster=spec.cluster,
            cache=cache,
            progress=progress,
        )


def _pixel_range(value: ir.Value) -> Range | None:
    """Return the range of ``value`` where it is in codes, or in pixels, already; None elsewhere."""
    producer = value.producer()
    marks = {} if producer is None else producer.metadata_props
    level = marks.get(PIXELS_KEY, marks.get(CODES_KEY))
    return None if level is None else Range(0.0, 255 * float(level))
