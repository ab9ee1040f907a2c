"""Operator sets up to 12  =>  opset 13, from which on the rest of the package reads them.

onnx's own converter gives up on some operators, with the text of an assertion, and drops metadata.
What :mod:`resnet_deploy.canonical.old_operators` can't spell in opset 13 leaves the whole graph in
its own: a graph has one opset.
"""

from __future__ import annotations

import onnx

from resnet_deploy.canonical.old_operators import RULES, SAME_SINCE, CantRaiseError, OldGraph
from resnet_deploy.canonical.order import set_nodes
from resnet_deploy.graph.releases import opset_of

RAISED = 13
"""Squeeze, Split and ReduceSum take their axes as inputs; QuantizeLinear goes by channel."""


def raise_opset(model: onnx.ModelProto) -> int:
    """Rewrite a graph of an old opset in opset 13; return how many nodes were spelled anew."""
    opset = opset_of(model)
    if not 0 < opset < RAISED:
        return 0
    old = OldGraph(model, opset)
    try:
        nodes = [new for node in model.graph.node for new in _raised(node, old)]
    except CantRaiseError:
        return 0
    set_nodes(model.graph, nodes)
    model.graph.initializer.extend(old.constants)
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = RAISED
    least = onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", RAISED)])
    model.ir_version = max(model.ir_version, least)
    return len(nodes)


def reason_to_stay(model: onnx.ModelProto) -> str:
    """Return why ``model`` can't be raised, in a few words; empty where it can be, or is."""
    opset = opset_of(model)
    if not 0 < opset < RAISED:
        return ""
    old = OldGraph(model, opset)
    try:
        for node in model.graph.node:
            _raised(node, old)
    except CantRaiseError as reason:
        return str(reason)
    return ""


def _raised(node: onnx.NodeProto, old: OldGraph) -> list[onnx.NodeProto]:
    """Return what ``node`` is in opset 13.

    Raises:
        CantRaiseError: there is no such thing.
    """
    kind = node.op_type
    if node.domain not in ("", "ai.onnx"):
        return [node]
    if any(given.HasField("g") or given.graphs for given in node.attribute):
        raise CantRaiseError(node, "it has a graph of its own")
    if kind in RULES:
        return RULES[kind](node, old)
    if not onnx.defs.has(kind, RAISED, ""):
        raise CantRaiseError(node, f"opset {RAISED} has no such operator")
    since = SAME_SINCE.get(kind, RAISED)
    if old.opset < since and _has_changed(kind, old.opset):
        raise CantRaiseError(node, f"it was another operator before opset {since}")
    return [old.without(node, "consumed_inputs")]


def _has_changed(kind: str, opset: int) -> bool:
    try:
        before, after = (onnx.defs.get_schema(kind, n, "") for n in (opset, RAISED))
    except onnx.defs.SchemaError:
        return True
    return bool(before.since_version != after.since_version or after.deprecated)
