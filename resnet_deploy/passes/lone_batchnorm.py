"""BatchNormalization without a convolution in front of it  =>  one behind it, or one of its own.

At inference it is ``y_c = s_c x_c + t_c``, with ``s = gamma / sqrt(var + eps)`` and
``t = beta - mean s`` (float64, rounded once). Pre-activation nets and DenseNets have it in front of
an activation, iResNets in front of a convolution that pads. ONNX Runtime has no int8 kernel for it,
and in float it neither takes up the activation behind it nor keeps the layout of its neighbours.

- The convolution behind it takes it where that does not pad: ``W (s x + t) + b`` is
  ``(W s) x + (W t + b)``. A border of zeros would not be one of ``t``.
- So does a linear layer, through a Flatten and a mean over the image, which commute with it.
- Else it becomes a depthwise 1x1 convolution, ``s`` on each channel; what has no image (rank 2 or
  3) a Mul and an Add.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.graph.constants import (
    constant,
    ints,
    new_initializer,
    optional_input,
    set_parameters,
)
from resnet_deploy.graph.layers import auto_pad, is_plain_gemm
from resnet_deploy.passes.depthwise import depthwise
from resnet_deploy.passes.fold_batchnorm import affine_of
from resnet_deploy.passes.result import PassResult, rewrite_each

_THROUGH = frozenset({"Flatten", "GlobalAveragePool"})
"""What an affine map per channel passes through, on its way to a linear layer."""


def lone_batchnorm(model: ir.Model) -> PassResult:
    """Replace every BatchNormalization; run it behind ``fold_batchnorm``.

    Refuses training mode, parameters that are computed at run time, and inputs of unknown rank.
    """
    return rewrite_each(model, ("BatchNormalization",), _replace)


def _replace(graph: ir.Graph, bn: ir.Node) -> str | None:
    x = bn.inputs[0]
    affine = affine_of(bn)
    if isinstance(affine, str):
        return affine
    if x is None or x.shape is None:
        return "the rank of its input is not known"
    scale, shift = affine
    if _fold_forward(graph, bn, scale, shift):
        return None
    if len(x.shape) == 4:
        conv = depthwise(graph, x, scale, shift, name=_stem(bn), metadata=dict(bn.metadata_props))
        ir.convenience.replace_nodes_and_values(
            graph, bn, [bn], [conv], bn.outputs[:1], conv.outputs
        )
    else:
        _mul_and_add(graph, bn, scale, shift, len(x.shape))
    return None


def _fold_forward(graph: ir.Graph, bn: ir.Node, scale: Array, shift: Array) -> bool:
    """Let the only reader of ``bn`` take it, if that is a layer that can; say whether it did."""
    found = _only_layer(bn.outputs[0])
    weight = None if found is None else constant(optional_input(found[0], 1))
    if found is None or weight is None or not _owns_parameters(found[0]):
        return False
    reader, pixels = found
    bias = constant(optional_input(reader, 2))
    exact = weight.astype(np.float64)
    if reader.op_type == "Conv" and reader.inputs[0] is bn.outputs[0] and _takes_no_border(reader):
        groups = reader.attributes.get_int("group", 1)
        each = (groups, len(weight) // groups, weight.shape[1], -1)
        parts = exact.reshape(each)
        moved = np.einsum("gocp,gc->go", parts, shift.reshape(groups, -1)).ravel()
        scaled = (parts * scale.reshape(groups, 1, -1, 1)).reshape(weight.shape)
    elif reader.op_type == "Gemm" and is_plain_gemm(reader):
        scale, shift = np.repeat(scale, pixels), np.repeat(shift, pixels)
        by_row = bool(reader.attributes.get_int("transB", 0))
        moved = exact @ shift if by_row else shift @ exact
        scaled = exact * (scale if by_row else scale[:, None])
    else:
        return False
    own = 0.0 if bias is None else bias.astype(np.float64)
    set_parameters(graph, reader, _stem(reader), scaled, own + moved)
    source = bn.inputs[0]
    assert source is not None, "a BatchNormalization has an input"
    bn.outputs[0].replace_all_uses_with(source)
    graph.remove(bn, safe=True)
    return True


def _only_layer(value: ir.Value) -> tuple[ir.Node, int] | None:
    """Return what alone reads ``value``, pooled or flattened, and the pixels of each channel."""
    pixels = 1
    while True:
        uses = list(value.uses())
        if value.is_graph_output() or len(uses) != 1 or uses[0].idx != 0:
            return None
        reader = uses[0].node
        if reader.op_type not in _THROUGH:
            return reader, pixels
        if reader.op_type == "Flatten":
            inner = (None,) if value.shape is None else value.shape.dims[2:]
            sizes = [size for size in inner if isinstance(size, int)]
            if len(sizes) < len(inner) or reader.attributes.get_int("axis", 1) != 1:
                return None
            pixels *= math.prod(sizes)
        value = reader.outputs[0]


def _owns_parameters(layer: ir.Node) -> bool:
    """Whether the weight and the bias are constants that nothing else reads."""
    given = [parameter for parameter in layer.inputs[1:] if parameter is not None]
    return all(constant(value) is not None and len(value.uses()) == 1 for value in given)


def _takes_no_border(conv: ir.Node) -> bool:
    return auto_pad(conv) in ("NOTSET", "VALID") and not any(ints(conv, "pads", ()))


def _mul_and_add(graph: ir.Graph, bn: ir.Node, scale: Array, shift: Array, rank: int) -> None:
    stem, shape = _stem(bn), (-1, *(1,) * (rank - 2))
    nodes = []
    value = bn.inputs[0]
    assert value is not None, "a BatchNormalization has an input"
    for op_type, name, array in (("Mul", "weight", scale), ("Add", "bias", shift)):
        by = new_initializer(graph, f"{stem}.{name}", array.astype(np.float32).reshape(shape))
        node = ir.node(op_type, [value, by], metadata_props=dict(bn.metadata_props))
        value = node.outputs[0]
        value.type = bn.outputs[0].type
        nodes.append(node)
    ir.convenience.replace_nodes_and_values(graph, bn, [bn], nodes, bn.outputs[:1], [value])


def _stem(node: ir.Node) -> str:
    weight = node.inputs[1]
    assert weight is not None, "callers have read it"
    return str(weight.name).removesuffix(".weight")
