"""An input ``(N, H, W, C)``  =>  ``(N, C, H, W)``, as PyTorch's nets take it.

This changes what the graph takes. A Transpose behind the new input gives what the old one was; it
meets its inverse in front of the first convolution, and both go.
"""

from __future__ import annotations

import onnx
import onnx_ir as ir

from resnet_deploy.passes.channels_first import channels_first
from resnet_deploy.passes.clean import clean


def channels_first_input(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return ``model``, whose float input has four dimensions, as one that takes channels first."""
    wrapped = ir.from_proto(onnx.shape_inference.infer_shapes(model))
    graph = wrapped.graph
    old = graph.inputs[0]
    assert old.shape is not None, "an image's input has four dimensions"
    batch, height, width, channels = old.shape
    new = ir.Value(name=old.name, type=old.type, shape=ir.Shape([batch, channels, height, width]))
    back = ir.node("Transpose", [new], {"perm": (0, 2, 3, 1)}, name=f"{old.name}.channels_last")
    result = back.outputs[0]
    result.name, result.type, result.shape = str(back.name), old.type, old.shape
    old.replace_all_uses_with(result)
    graph.inputs[0] = new
    graph.insert_before(graph[0], back)
    channels_first(wrapped)
    clean(wrapped)
    return ir.to_proto(wrapped)
