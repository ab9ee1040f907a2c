"""Names every node, tensor and weight after its torch module.

``layer3.0.conv2`` is a node, its output, and the prefix of its ``.weight`` and ``.bias``. The
module also goes into the node's metadata, where verify, quantize and summary read it. Everything
else that torch's exporter left there is dropped: stack traces hold paths of the exporting machine.
"""

from __future__ import annotations

import onnx_ir as ir

from resnet_deploy.graph.module_names import MODULE_KEY, module_of, torch_module
from resnet_deploy.graph.unique_name import unique_name
from resnet_deploy.passes.result import PassResult

_FUNCTIONAL = {"Add": "add", "Relu": "relu", "Flatten": "flatten", "Concat": "cat"}


def name_by_module(model: ir.Model) -> PassResult:
    """Rename nodes, their outputs and their weights; count the nodes renamed."""
    graph = model.graph
    taken = {str(value.name) for value in (*graph.inputs, *graph.outputs)}
    renamed = 0
    for node in graph:
        module = torch_module(node)
        if module is None:
            module = module_of(node)
        name = unique_name(_node_name(node, module), taken)
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
    return PassResult(renamed)


def _node_name(node: ir.Node, module: str) -> str:
    """A leaf module names its node; a function called by a block is added to the block's path."""
    leaf = module.rpartition(".")[2]
    function = _FUNCTIONAL.get(node.op_type)
    if function is None or leaf.startswith(function):
        return module or node.op_type.lower()
    return f"{module}.{function}" if module else function


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
