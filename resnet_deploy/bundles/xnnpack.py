"""Which convolutions of a file ONNX Runtime's XNNPACK provider takes, by its source."""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx

from resnet_deploy.graph.skeleton import inferred_dims

_PADDINGS = (b"NOTSET", b"VALID", b"SAME_UPPER")


@dataclass(frozen=True, kw_only=True)
class XnnpackShare:
    """``taken`` of the ``convolutions`` of a file."""

    taken: int
    convolutions: int


def xnnpack_share(model: onnx.ModelProto) -> XnnpackShare:
    """Return how many convolutions of ``model`` the provider takes; all else stays on the CPU's.

    In float those whose channels, height and width are known. Of quantized ones, those whose
    activations and weights have one type: int8, or uint8 with one scale for all channels. What most
    CPUs are fastest with, uint8 activations and int8 weights, is not among them.

    Source: onnxruntime/core/providers/xnnpack/nn/conv_base.cc (``IsOnnxNodeSupported``,
    ``GetConvCompType``).
    """
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    dims = inferred_dims(model)
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}

    def quantized(name: str) -> tuple[int, int] | None:
        """Return the type of a dequantized tensor and the number of its scales."""
        node = makers.get(name)
        if node is None or node.op_type != "DequantizeLinear":
            return None
        kind = types.get(node.input[2]) if len(node.input) > 2 else onnx.TensorProto.UINT8
        return kind or 0, math.prod(size or 0 for size in dims.get(node.input[1], ()))

    def taken(node: onnx.NodeProto) -> bool:
        shape = dims.get(node.input[0], ())
        padding = [field.s for field in node.attribute if field.name == "auto_pad"]
        if len(shape) != 4 or None in shape[1:] or any(one not in _PADDINGS for one in padding):
            return False
        picture, weights = quantized(node.input[0]), quantized(node.input[1])
        if picture is None or weights is None:
            return picture is None and node.input[1] in types
        same = picture[0] == weights[0]
        return same and (weights[0] == onnx.TensorProto.INT8 or weights[1] == 1)

    convolutions = [node for node in graph.node if node.op_type == "Conv" and not node.domain]
    return XnnpackShare(taken=sum(map(taken, convolutions)), convolutions=len(convolutions))
