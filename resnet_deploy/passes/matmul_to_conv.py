"""A linear layer on every pixel of an image with channels last  =>  a 1x1 convolution.

ConvNeXt (arXiv:2201.03545) and its like write the two layers behind a LayerNormalization as MatMul
and Add on ``(N, H, W, C)``. They are 1x1 convolutions between two Transposes. ONNX Runtime's int8
convolutions have channels last anyway, so it takes these Transposes away with those of the block.
Where the block turns to channels first behind them, for its factor per channel (LayerScale), the
two Transposes go at once, so that the factor can go into the convolution.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from resnet_deploy.graph.constants import constant, ints, new_initializer
from resnet_deploy.graph.layers import FLOAT_KEY
from resnet_deploy.passes.result import PassResult, rewrite_each

_RANK = 4
_TO_FIRST, _TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


def matmul_to_conv(model: ir.Model) -> PassResult:
    """Rewrite every MatMul of an image and constant weights, with the Add of its bias.

    Refuses weights that are computed at run time or no matrix, and inputs of other ranks than 4.
    """
    return rewrite_each(model, ("MatMul",), _replace)


def _replace(graph: ir.Graph, product: ir.Node) -> str | None:
    x, weight = product.inputs[0], constant(product.inputs[1])
    if x is None or x.shape is None or len(x.shape) != _RANK:
        return "its input is not known to be an image"
    if weight is None or weight.ndim != 2:
        return "its weights are not a constant matrix"
    last, bias = product, np.zeros(weight.shape[1], np.float32)
    uses = list(product.outputs[0].uses())
    if len(uses) == 1 and not product.outputs[0].is_graph_output():
        reader = uses[0].node
        added = constant(reader.inputs[1 - uses[0].idx]) if reader.op_type == "Add" else None
        if added is not None and added.size in (1, len(bias)) and added.shape[-1:] == (added.size,):
            last, bias = reader, np.broadcast_to(added.reshape(-1), bias.shape)
    name, metadata = str(product.name), dict(product.metadata_props)
    first = ir.node("Transpose", [x], {"perm": _TO_FIRST}, name=f"{name}.first")
    inputs = [
        first.outputs[0],
        new_initializer(graph, f"{name}.weight", weight.T[:, :, None, None]),
        new_initializer(graph, f"{name}.bias", np.ascontiguousarray(bias, np.float32)),
    ]
    conv = ir.node("Conv", inputs, {"kernel_shape": (1, 1)}, name=name)
    back = ir.node("Transpose", [conv.outputs[0]], {"perm": _TO_LAST}, name=f"{name}.last")
    n, h, w, c = x.shape.dims
    for node, sizes in ((first, (n, c, h, w)), (conv, (n, len(bias), h, w))):
        node.outputs[0].name = f"{node.name}.output"
        node.outputs[0].type, node.outputs[0].shape = x.type, ir.Shape(sizes)
    for node in (first, conv, back):
        node.metadata_props.update(metadata)
    old = [product] if last is product else [product, last]
    ir.convenience.replace_nodes_and_values(
        graph, last, old, [first, conv, back], last.outputs, back.outputs
    )
    _without_pair(graph, conv, back)
    return None


def _without_pair(graph: ir.Graph, conv: ir.Node, back: ir.Node) -> None:
    """Let ``conv`` be read directly where ``back``, the Transpose behind it, is taken back."""
    for use in list(back.outputs[0].uses()):
        again = use.node
        if (
            again.op_type == "Transpose"
            and ints(again, "perm", ()) == _TO_FIRST
            and FLOAT_KEY not in again.metadata_props
            and not again.outputs[0].is_graph_output()
        ):
            again.outputs[0].replace_all_uses_with(conv.outputs[0])
            graph.remove(again, safe=True)
    if not back.outputs[0].uses() and not back.outputs[0].is_graph_output():
        graph.remove(back, safe=True)
