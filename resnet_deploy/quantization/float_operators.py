"""Operators that are float in every int8 net, alone or as a part of what they compute together.

No int8 kernel computes them, and int8 would spoil them. Some are one operator: LayerNormalization,
Gelu, Softmax. At old opsets they are written as several, which ONNX Runtime fuses where it knows
the spelling; a Div, Sqrt, Pow or Tanh alone says nothing, so what stands around it is asked.
"""

from __future__ import annotations

import onnx

from resnet_deploy.graph.links import Links

_WHOLE = frozenset(
    {
        # Normalisation by statistics of the picture itself.
        "GroupNormalization",
        "InstanceNormalization",
        "LayerNormalization",
        "LRN",
        "LpNormalization",
        "RMSNormalization",
        "SimplifiedLayerNormalization",
        "SkipLayerNormalization",
        # GELU, as ONNX has it, as its heart, and as ONNX Runtime fuses it.
        "BiasGelu",
        "Erf",
        "FastGelu",
        "Gelu",
        "QuickGelu",
        # Attention.
        "Softmax",
        "Attention",
        "MultiHeadAttention",
    }
)

_STATISTICS = frozenset(
    {"ReduceMean", "ReduceSum", "ReduceL2", "ReduceSumSquare", "AveragePool", "GlobalAveragePool"}
    | {"QLinearAveragePool", "QLinearGlobalAveragePool"}
)
"""Of the picture itself; means over its pixels are pools."""

_PARTS = _STATISTICS | frozenset(
    {"Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Reciprocal", "Tanh", "Clip", "Relu"}
    | {"Cast", "Expand", "Identity", "FusedMatMul", "Concat", "Split", "Slice", "Gather"}
    | {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose"}
    | {"QuantizeLinear", "DequantizeLinear"}
)
"""What such patterns consist of, and what leads into them and out of them."""

_NEAR = 4
"""How many operators away what tells of a pattern may be: ``x / Sqrt(Add(mean, epsilon))``."""


def is_float_everywhere(node: onnx.NodeProto, links: Links) -> bool:
    """Whether no int8 net has ``node`` in int8, for what it is or what it is a part of."""
    if node.op_type in ("Div", "Sqrt", "Reciprocal"):  # by statistics of the picture
        return any(
            near.op_type in _STATISTICS for near in _before(node, links, len(node.input) - 1)
        )
    if node.op_type == "Pow":  # a variance, or a generalised mean
        around = [*_before(node, links), *links.behind(node)]
        return any(near.op_type in _STATISTICS for near in around)
    if node.op_type == "Tanh":  # GELU by a polynomial of third degree
        return any(_is_power(near, links) for near in _before(node, links))
    return node.op_type in _WHOLE


def may_be_part(node: onnx.NodeProto, links: Links) -> bool:
    """Whether ``node`` can belong to what :func:`is_float_everywhere` recognises.

    The products of attention can: both of their inputs are computed. A linear layer's is a layer.
    """
    if node.op_type == "MatMul":
        return all(name in links.producer for name in node.input)
    return node.op_type in _PARTS or node.op_type in _WHOLE


def _is_power(node: onnx.NodeProto, links: Links) -> bool:
    """Whether ``node`` is a power of what is computed; ``x * x * x`` is one."""
    computed = all(name in links.producer for name in node.input)
    return node.op_type == "Pow" or (node.op_type == "Mul" and computed)


def _before(node: onnx.NodeProto, links: Links, index: int = 0) -> list[onnx.NodeProto]:
    """Return what computes the input ``index`` of ``node``, a few operators back."""
    found: list[onnx.NodeProto] = []
    producer = links.producer.get(node.input[index])
    row = [] if producer is None else [producer]
    for _ in range(_NEAR):
        found += row
        row = [near for one in row if one.op_type in _PARTS for near in links.before(one)]
    return found
