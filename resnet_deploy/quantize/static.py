"""An fp32 graph becomes an int8 graph: rewrite, plan, observe, choose ranges, write Q/DQ."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from resnet_deploy.artifact import opset_of
from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.passes import run_passes
from resnet_deploy.passes.opset import DEFAULT_OPSET, MIN_OPSET, set_opset
from resnet_deploy.passes.space_to_depth_stem import space_to_depth_stem
from resnet_deploy.passes.zero_pad_shortcut import zero_pad_shortcut
from resnet_deploy.progress import Progress, silent
from resnet_deploy.quantize.calibrate import observe
from resnet_deploy.quantize.plan import WEIGHTED, make_plan
from resnet_deploy.quantize.qdq import write_qdq
from resnet_deploy.quantize.ranges import choose_range
from resnet_deploy.spec import QuantSpec

logger = logging.getLogger(__name__)


def quantize_static(
    model: onnx.ModelProto,
    spec: QuantSpec,
    batches: Iterable[NDArray[Any]],
    *,
    images: int,
    threads: int = 0,
    progress: Progress = silent,
) -> onnx.ModelProto:
    """Return ``model`` in int8, QDQ form, same inputs and outputs.

    Args:
        model: fp32; a foreign file is cleaned by the default passes first.
        spec: how ranges are chosen, and what stays float.
        batches: preprocessed calibration images, float32 ``(N, C, H, W)``.
        images: how many they are, for the progress.
        threads: of the calibration; 0 means the physical cores allowed here.
        progress: called after every batch.

    Raises:
        UnsupportedGraphError: the model is int8 already, or has nothing to quantize.
        SpecError: ``spec.exclude`` names a layer that does not exist.
        DatasetError: an activation is NaN or infinite.
    """
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        raise UnsupportedGraphError(
            "the model is int8 already: quantize the fp32 file it came from"
        )
    # A copy, because onnx_ir renames the tensors of the model that it was made from.
    opset = opset_of(model)
    model = set_opset(model, opset if opset >= MIN_OPSET else DEFAULT_OPSET)
    graph = ir.from_proto(onnx.shape_inference.infer_shapes(model))
    counts = run_passes(graph)
    counts["space_to_depth_stem"] = space_to_depth_stem(graph)
    counts["zero_pad_shortcut"] = zero_pad_shortcut(graph)
    logger.info("before int8: %s", ", ".join(f"{name} {n}" for name, n in counts.items() if n))

    plan = make_plan(graph, spec.exclude)
    if not any(node.op_type in WEIGHTED for node in plan.nodes):
        raise UnsupportedGraphError("the model has no convolution or linear layer to quantize")
    names = [str(value.name) for value in plan.ranged]
    histograms = observe(
        ir.to_proto(graph), names, batches, images=images, threads=threads, progress=progress
    )
    ranges = {
        name: choose_range(histogram, spec.calibration_method)
        for name, histogram in histograms.items()
    }
    write_qdq(graph, plan, ranges, spec.target_isa)
    quantized = ir.to_proto(graph)
    # The rewritten stem changed inner shapes; they are inferred anew.
    del quantized.graph.value_info[:]
    try:
        onnx.checker.check_model(quantized)
    except onnx.checker.ValidationError as error:
        reason = " ".join(str(error).split())[:300]
        raise UnsupportedGraphError(f"the int8 graph is not valid ONNX: {reason}") from error
    return quantized
