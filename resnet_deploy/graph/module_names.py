"""Names every node, tensor and weight after its torch module.

``layer3.0.conv2`` is a node, its output, and the prefix of its ``.weight`` and ``.bias``. The
module also goes into the node's metadata, where verify, quantize and summary read it. Everything
else that torch's exporter left there is dropped: stack traces hold paths of the exporting machine.
"""

from __future__ import annotations

import ast
from contextlib import suppress

import onnx
import onnx_ir as ir

from resnet_deploy.artifact.onnx_file import MODULE_KEY

_SCOPES_KEY = "pkg.torch.onnx.name_scopes"
_FUNCTIONAL = {"Add": "add", "Relu": "relu", "Flatten": "flatten", "Concat": "cat"}


def name_by_module(model: ir.Model) -> int:
    """Rename nodes, their outputs and their weights; return the number of nodes renamed."""
    graph = model.graph
    taken = {str(value.name) for value in (*graph.inputs, *graph.outputs)}
    renamed = 0
    for node in graph:
        module = module_of(node)
        name = _unique(_node_name(node, module), taken)
        taken.add(name)
        renamed += node.name != name
        node.name = name
        node.metadata_props.clear()
        node.metadata_props[MODULE_KEY] = module
        for output in node.outputs:
            output.metadata_props.clear()
            if output.name and not output.is_graph_output():
                output.name = name if len(node.outputs) == 1 else f"{name}.{output.index()}"
    _name_weights(graph)
    for value in (*graph.inputs, *graph.outputs, *graph.initializers.values()):
        value.metadata_props.clear()
    graph.metadata_props.clear()
    return renamed


def module_of(node: ir.Node) -> str:
    """Return the torch module path of ``node``, such as ``layer3.0.conv2``.

    In order: what an earlier run recorded, the module that owns the weight, the scopes of
    torch's dynamo exporter, the path in a TorchScript node name, the node's own name.
    """
    if MODULE_KEY in node.metadata_props:
        return node.metadata_props[MODULE_KEY]
    if node.op_type in ("Conv", "Gemm") and len(node.inputs) > 1 and node.inputs[1] is not None:
        owner, dot, leaf = str(node.inputs[1].name).rpartition(".")
        if dot and leaf == "weight":
            return owner
    if _SCOPES_KEY in node.metadata_props:
        with suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            scopes = ast.literal_eval(node.metadata_props[_SCOPES_KEY])
            return str(scopes[-2]) if len(scopes) > 1 else ""
    return _torchscript_module(node.name or "") or node.name or node.op_type.lower()


def _torchscript_module(name: str) -> str:
    """``/layer1/layer1.0/conv1/Conv`` is ``layer1.0.conv1``."""
    if not name.startswith("/"):
        return ""
    module = ""
    for part in name.split("/")[1:-1]:
        module = part if not module or part.startswith(f"{module}.") else f"{module}.{part}"
    return module


def _node_name(node: ir.Node, module: str) -> str:
    """A leaf module names its node; a function called by a block is added to the block's path."""
    leaf = module.rpartition(".")[2]
    function = _FUNCTIONAL.get(node.op_type)
    if function is None or leaf.startswith(function):
        return module or node.op_type.lower()
    return f"{module}.{function}" if module else function


def _unique(name: str, taken: set[str]) -> str:
    unique, number = name, 0
    while unique in taken:
        number += 1
        unique = f"{name}_{number}"
    return unique


def _name_weights(graph: ir.Graph) -> None:
    """Give weight and bias of every convolution and linear layer its module's name."""
    for node in graph:
        if node.op_type not in ("Conv", "Gemm"):
            continue
        for value, leaf in zip(node.inputs[1:3], ("weight", "bias"), strict=False):
            if value is None or not value.is_initializer() or len(value.uses()) > 1:
                continue
            name = f"{node.name}.{leaf}"
            if value.name != name and name not in graph.initializers:
                value.name = name


def restore_modules(before: onnx.ModelProto, after: onnx.ModelProto) -> None:
    """Put the torch modules back that a tool dropped, by the names of the nodes."""
    metadata = {
        node.name: [(entry.key, entry.value) for entry in node.metadata_props]
        for node in before.graph.node
        if node.name
    }
    for node in after.graph.node:
        del node.metadata_props[:]
        for key, value in metadata.get(node.name, ()):
            node.metadata_props.add(key=key, value=value)
