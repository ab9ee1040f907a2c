"""Padding by the size of the input (``auto_pad``)  =>  stated pads.

``SAME`` gives ``ceil(size / stride)`` outputs: ``(outputs - 1) stride + (kernel - 1) dilation + 1 -
size`` rows are padded in all, the odd one below for SAME_UPPER and above for SAME_LOWER (ONNX,
Conv). With stride 1 that does not depend on the size. Stated pads are what other passes read.
"""

from __future__ import annotations

import onnx_ir as ir

from resnet_deploy.graph.constants import constant, ints
from resnet_deploy.graph.layers import auto_pad
from resnet_deploy.passes.result import PassResult, rewrite_each


def explicit_pads(model: ir.Model) -> PassResult:
    """State the pads of every Conv and MaxPool that has ``auto_pad``.

    Refuses SAME with a stride on an image whose size is not known, and other than two dimensions.
    """
    return rewrite_each(
        model, ("Conv", "MaxPool"), _state, candidate=lambda node: auto_pad(node) != "NOTSET"
    )


def _state(graph: ir.Graph, node: ir.Node) -> str | None:
    mode, x = auto_pad(node), node.inputs[0]
    kernel = ints(node, "kernel_shape", ())
    if not kernel and node.op_type == "Conv":
        weight = constant(node.inputs[1])
        kernel = () if weight is None else weight.shape[2:]
    if len(kernel) != 2 or x is None or x.shape is None or len(x.shape) != 4:
        return "it is not over height and width alone"
    before, after = [0, 0], [0, 0]
    if mode != "VALID":
        strides, dilations = ints(node, "strides", (1, 1)), ints(node, "dilations", (1, 1))
        for axis in (0, 1):
            size, stride, reach = (
                x.shape[2 + axis],
                strides[axis],
                (kernel[axis] - 1) * dilations[axis],
            )
            if stride == 1:
                total = reach
            elif isinstance(size, int):
                total = max(0, (-(-size // stride) - 1) * stride + reach + 1 - size)
            else:
                return "it pads by the size of its input, which is free"
            smaller, larger = total // 2, total - total // 2
            before[axis], after[axis] = (
                (smaller, larger) if mode == "SAME_UPPER" else (larger, smaller)
            )
    node.attributes.pop("auto_pad", None)
    node.attributes["pads"] = ir.AttrInt64s("pads", [*before, *after])
    return None
