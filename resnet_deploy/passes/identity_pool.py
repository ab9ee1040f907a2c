"""A pool over single pixels  =>  nothing.

``AdaptiveAvgPool2d(7)`` on a 7x7 picture, as in VGG at 224 pixels, is exported as AveragePool with
a 1x1 kernel. It copies, but in int8 it would cost a change of layout.
"""

from __future__ import annotations

import onnx_ir as ir


def remove_identity_pool(model: ir.Model) -> int:
    """Remove every AveragePool and MaxPool with a 1x1 kernel, stride 1 and no padding.

    Refuses a pool whose output is the graph's: it carries the output's name.
    """
    removed = 0
    for node in list(model.graph):
        if node.op_type not in ("AveragePool", "MaxPool") or len(node.outputs) != 1:
            continue
        source, y = node.inputs[0], node.outputs[0]
        if source is None or y.is_graph_output() or not _copies(node):
            continue
        y.replace_all_uses_with(source)
        model.graph.remove(node, safe=True)
        removed += 1
    return removed


def _copies(node: ir.Node) -> bool:
    def values(name: str) -> set[int]:
        return set(node.attributes[name].as_ints()) if name in node.attributes else set()

    return values("kernel_shape") == {1} and values("strides") <= {1} and values("pads") <= {0}
