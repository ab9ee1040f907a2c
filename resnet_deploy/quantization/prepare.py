"""An fp32 graph as int8 wants it, and what of it is quantized."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection

import onnx
import onnx_ir as ir
from onnx import numpy_helper

from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.graph.constants import ints
from resnet_deploy.graph.layers import FLOAT_KEY
from resnet_deploy.graph.releases import opset_of
from resnet_deploy.graph.skeleton import infer_shapes
from resnet_deploy.passes import INT8_PASSES, counts_text, run_passes
from resnet_deploy.passes.clean import clean
from resnet_deploy.passes.space_to_depth_stem import space_to_depth_stem
from resnet_deploy.quantization import fused_sums
from resnet_deploy.quantization.plan import WEIGHTED, Plan, make_plan
from resnet_deploy.quantization.residual_stream import mark_float_writers, mark_stream
from resnet_deploy.quantization.weights import weighted_layers
from resnet_deploy.rewrites.byte_input import byte_input
from resnet_deploy.rewrites.opset import MAX_OPSET, MIN_OPSET, set_opset
from resnet_deploy.rewrites.pixel_input import pixel_input
from resnet_deploy.spec import FirstConv, InputContract, ResidualStream, Runtime

logger = logging.getLogger(__name__)


def prepare(
    model: onnx.ModelProto,
    preprocess: InputContract | None,
    first_conv: FirstConv,
    in_float: Collection[str] = (),
    *,
    residual_stream: ResidualStream = ResidualStream.UINT8,
    runtime: Runtime = Runtime.ORT,
) -> onnx.ModelProto:
    """Return ``model`` cleaned and rewritten for int8, except for operators called ``in_float``.

    A float ``residual_stream`` is marked, in the form for ``runtime``. It computes the same in
    fp32, except for the border of bytes: see ``rewrites/byte_input.py``.

    Raises:
        UnsupportedGraphError: it is int8 already.
        ExportError: an operator can't be expressed in an opset that int8 needs.
        SpecError: there is no residual stream to keep in float.
    """
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        raise UnsupportedGraphError(
            "the model is int8 already: quantize the fp32 file it came from"
        )
    for_openvino = residual_stream is ResidualStream.FLOAT32 and runtime is Runtime.OPENVINO
    graph = cleaned(model, fused_sums.OPSET if for_openvino else MIN_OPSET)
    for node in graph.graph:
        if node.name in in_float:
            node.metadata_props[FLOAT_KEY] = "faster"
    if residual_stream is ResidualStream.FLOAT32:
        mark_stream(graph)
    front = graph.graph[0].name in in_float
    # The first tensor of a float stream gets more levels, by channel: it keeps its channels.
    own_channels = residual_stream is ResidualStream.FLOAT32 and not _has_strided_stem(graph)
    widen = first_conv is FirstConv.AUTO and not front and not own_channels
    results = {}
    if not front:
        results["byte_input"] = byte_input(graph, widen=widen)
    stem = (space_to_depth_stem,) if widen else ()
    results |= run_passes(graph, (*stem, *INT8_PASSES))
    if preprocess is not None and preprocess.format.is_float and not front:
        results["pixel_input"] = pixel_input(graph, preprocess)
    clean(graph)
    if for_openvino:
        mark_float_writers(graph)
    logger.info("for int8: %s", counts_text(results))
    return ir.to_proto(graph)


def _has_strided_stem(model: ir.Model) -> bool:
    stem = next((node for node in model.graph if node.op_type == "Conv"), None)
    return stem is not None and ints(stem, "strides", (1, 1)) != (1, 1)


def cleaned(model: onnx.ModelProto, lowest_opset: int = MIN_OPSET) -> ir.Model:
    """Return a copy of ``model`` that the default passes went over, with shapes.

    A copy, because onnx_ir renames the tensors of the model that it was made from.
    """
    model = set_opset(model, min(max(opset_of(model), lowest_opset), MAX_OPSET))
    infer_shapes(model)
    graph = ir.from_proto(model)
    logger.info("before int8: %s", counts_text(run_passes(graph)))
    return graph


def planned(prepared: onnx.ModelProto, exclude: tuple[str, ...] = ()) -> tuple[ir.Model, Plan]:
    """Return a copy of ``prepared`` to work on, and what of it is quantized.

    Raises:
        UnsupportedGraphError: nothing of it can be.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(prepared)
    graph = ir.from_proto(copy)
    plan = make_plan(graph, exclude)
    if not weighted_layers(graph, plan):
        raise UnsupportedGraphError("the model has no convolution or linear layer to quantize")
    return graph, plan


def layers_by_name(model: onnx.ModelProto) -> dict[str, tuple[str, tuple[bytes, ...]]]:
    """Return, by name, what each layer reads and its weight and bias, if these are constant."""
    arrays = {tensor.name: tensor for tensor in model.graph.initializer}
    return {
        node.name: (node.input[0], tuple(_digest(arrays[name]) for name in node.input[1:3]))
        for node in model.graph.node
        if node.op_type in WEIGHTED and set(node.input[1:3]) <= set(arrays)
    }


def _digest(tensor: onnx.TensorProto) -> bytes:
    return hashlib.sha256(numpy_helper.to_array(tensor).tobytes()).digest()
