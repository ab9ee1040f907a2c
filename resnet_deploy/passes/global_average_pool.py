"""ReduceMean over height and width  =>  GlobalAveragePool.

torch's exporter writes ``AdaptiveAvgPool2d(1)`` as ReduceMean. Both compute the mean over
(H, W), but ONNX Runtime has an int8 kernel for GlobalAveragePool only.
"""

from __future__ import annotations

import onnx_ir as ir

from resnet_deploy.graph.constants import constant, ints
from resnet_deploy.passes.result import PassResult, rewrite_each


def mean_to_global_average_pool(model: ir.Model) -> PassResult:
    """Replace every ReduceMean over axes (2, 3) of a 4-D tensor.

    With ``keepdims=0`` a Flatten follows. Refuses other axes and tensors of unknown rank.
    """
    return rewrite_each(model, ("ReduceMean",), _replace)


def _reason_against(node: ir.Node) -> str | None:
    x = node.inputs[0]
    if x is None or x.shape is None or len(x.shape) != 4:
        return "its input is not known to have four dimensions"
    if len(node.inputs) > 1:  # axes became an input in opset 18
        array = constant(node.inputs[1])
        axes = [] if array is None else [int(axis) for axis in array]
    else:
        axes = list(ints(node, "axes", ()))
    if sorted(axis % 4 for axis in axes) == [2, 3]:
        return None
    return "it is not over height and width alone"


def _replace(graph: ir.Graph, node: ir.Node) -> str | None:
    if (reason := _reason_against(node)) is not None:
        return reason
    metadata = dict(node.metadata_props)
    pool = ir.node("GlobalAveragePool", [node.inputs[0]], metadata_props=metadata)
    new = [pool]
    if not node.attributes.get_int("keepdims", 1):
        new.append(ir.node("Flatten", [pool.outputs[0]], metadata_props=metadata))
        x = node.inputs[0]
        assert x is not None, "candidates have an input"
        assert x.shape is not None, "its rank is known"
        pool.outputs[0].type = node.outputs[0].type
        pool.outputs[0].shape = ir.Shape([*x.shape.dims[:2], 1, 1])
    ir.convenience.replace_nodes_and_values(graph, node, [node], new, node.outputs, new[-1].outputs)
    return None
