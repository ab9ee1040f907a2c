"""Logits (N, classes)  =>  Softmax, or Softmax and TopK, behind them.

This changes what the graph answers, in place: the logits are no longer an output then. Softmax is
along the last axis, in float32; TopK gives the K largest probabilities and their classes, in
descending order, the lower class first among equals.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from resnet_deploy.graph.constants import new_initializer
from resnet_deploy.graph.module_names import MODULE_KEY
from resnet_deploy.spec import OutputKind, OutputSpec


def output_head(model: ir.Model, output: OutputSpec) -> int:
    """Put behind the graph's only output what ``output`` asks for; return the nodes added.

    Only ``softmax`` and ``top-k`` add any. The graph's other names stay as they are.
    """
    if output.kind not in (OutputKind.SOFTMAX, OutputKind.TOP_K):
        return 0
    graph = model.graph
    (logits,) = graph.outputs
    metadata = {MODULE_KEY: "softmax"}
    softmax = ir.node("Softmax", [logits], {"axis": -1}, name="softmax", metadata_props=metadata)
    probabilities = softmax.outputs[0]
    probabilities.type, probabilities.shape = logits.type, logits.shape
    graph.append(softmax)
    graph.outputs.clear()
    if output.kind is OutputKind.SOFTMAX:
        probabilities.name = output.tensor_names()[0]
        graph.outputs.append(probabilities)
        return 1
    probabilities.name = "softmax"
    top = ir.node(
        "TopK",
        [probabilities, new_initializer(graph, "top_k.k", np.asarray([output.k], np.int64))],
        {"axis": -1, "largest": 1, "sorted": 1},
        num_outputs=2,
        name="top_k",
        metadata_props={MODULE_KEY: "top_k"},
    )
    graph.append(top)
    batch = logits.shape[0] if logits.shape is not None else None
    types = (ir.DataType.FLOAT, ir.DataType.INT64)
    for value, name, dtype in zip(top.outputs, output.tensor_names(), types, strict=True):
        value.name, value.dtype, value.shape = name, dtype, ir.Shape([batch, output.k])
        graph.outputs.append(value)
    return 2
