"""Flatten behind the last pool  =>  Transpose and Flatten, so that one layout lasts to the end.

ONNX Runtime's int8 convolutions want channels last, and it moves the changes of layout as far as
they cost nothing. Behind gates (Sigmoid) and LeakyRelu it stops at the last pool: it weighs a
change by the rank of the tensor, not by its size, and so turns the whole image in front of it, one
or two times. A pooled image is one pixel. Its Transpose to channels last moves no memory, Flatten
gives the same, and it cancels what would have been turned.
"""

from __future__ import annotations

import onnx_ir as ir

from resnet_deploy.graph.module_names import module_metadata
from resnet_deploy.passes.result import PassResult, rewrite_each

_STOPPING = frozenset({"LeakyRelu", "Sigmoid"})
"""Other nets are left as they are: there it is the pool's own change of layout, and a small one."""

_LAST = (0, 2, 3, 1)


def pool_channels_last(model: ir.Model) -> PassResult:
    """Rewrite every Flatten of a GlobalAveragePool in nets that have gates or LeakyRelu."""
    if not any(node.op_type in _STOPPING for node in model.graph):
        return PassResult()
    return rewrite_each(model, ("Flatten",), _turn, candidate=_reads_a_pool)


def _reads_a_pool(node: ir.Node) -> bool:
    producer = node.inputs[0].producer() if node.inputs[0] is not None else None
    return producer is not None and producer.op_type == "GlobalAveragePool"


def _turn(graph: ir.Graph, flatten: ir.Node) -> str | None:
    if flatten.attributes.get_int("axis", 1) != 1:
        return "it does not flatten all but the batch"
    pooled = flatten.inputs[0]
    assert pooled is not None, "candidates read a pool"
    turn = ir.node(
        "Transpose",
        [pooled],
        {"perm": _LAST},
        name=f"{flatten.name}.channels_last",
        metadata_props=module_metadata(flatten),
    )
    turn.outputs[0].name, turn.outputs[0].type = str(turn.name), pooled.type
    graph.insert_before(flatten, turn)
    flatten.replace_input_with(0, turn.outputs[0])
    return None
