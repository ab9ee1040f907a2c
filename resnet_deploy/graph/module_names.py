"""The torch module of a node: one rule for every verb, so that a layer has one name everywhere."""

from __future__ import annotations

from contextlib import suppress

import onnx
import onnx_ir as ir

from resnet_deploy.plain_values import json_or_literal

MODULE_KEY = "resnet_deploy.module"
"""Metadata of a node: the path of the torch module it came from; empty for the network itself."""

_SCOPES_KEY = "pkg.torch.onnx.name_scopes"
_MOST_WORDS = 1 << 9
"""Of a node's scopes, commas counted: a few for each module around it."""

_WEIGHTED = ("Conv", "Gemm", "MatMul")


def module_of(node: ir.Node | onnx.NodeProto) -> str:
    """Return the name of the layer that ``node`` is or belongs to, such as ``layer3.0.conv2``.

    The torch module; the node's own name where none is known or it is the network itself; the
    operator where the node has no name either. Never empty.
    """
    return torch_module(node) or node.name or node.op_type.lower()


def torch_module(node: ir.Node | onnx.NodeProto) -> str | None:
    """Return the path of the torch module that ``node`` came from, or None where nothing tells.

    In order: what an earlier run recorded, the module that owns the weight, the scopes of
    torch's dynamo exporter, the path in a TorchScript node name. Empty for what the network itself
    calls, outside all of its modules.
    """
    metadata = _metadata(node)
    if MODULE_KEY in metadata:
        return metadata[MODULE_KEY]
    owner, dot, leaf = _weight_name(node).rpartition(".")
    if dot and leaf == "weight":
        return owner
    if _SCOPES_KEY in metadata:
        with suppress(ValueError):
            scopes = json_or_literal(metadata[_SCOPES_KEY], _MOST_WORDS)
            if isinstance(scopes, list):
                return str(scopes[-2]) if len(scopes) > 1 else ""
    return _torchscript_module(node.name or "") or None


def module_metadata(node: ir.Node | None) -> dict[str, str]:
    """Return the metadata of a new node that belongs to the same module as ``node``."""
    return {MODULE_KEY: "" if node is None else node.metadata_props.get(MODULE_KEY, "")}


def restore_modules(before: onnx.ModelProto, after: onnx.ModelProto) -> None:
    """Put the torch modules back that a tool dropped, by the names of the nodes."""
    metadata = {node.name: _metadata(node) for node in before.graph.node if node.name}
    for node in after.graph.node:
        del node.metadata_props[:]
        for key, value in metadata.get(node.name, {}).items():
            node.metadata_props.add(key=key, value=value)


def _metadata(node: ir.Node | onnx.NodeProto) -> dict[str, str]:
    if isinstance(node, ir.Node):
        return node.metadata_props
    return {entry.key: entry.value for entry in node.metadata_props}


def _weight_name(node: ir.Node | onnx.NodeProto) -> str:
    inputs = node.inputs if isinstance(node, ir.Node) else node.input
    if node.op_type not in _WEIGHTED or len(inputs) < 2 or inputs[1] is None:
        return ""
    return str(inputs[1].name if isinstance(inputs[1], ir.Value) else inputs[1])


def _torchscript_module(name: str) -> str:
    """``/layer1/layer1.0/conv1/Conv`` is ``layer1.0.conv1``."""
    if not name.startswith("/"):
        return ""
    module = ""
    for part in name.split("/")[1:-1]:
        module = part if not module or part.startswith(f"{module}.") else f"{module}.{part}"
    return module
