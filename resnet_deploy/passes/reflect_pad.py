"""Pad that mirrors or repeats the edge of an image  =>  Slice and Concat.

Blur pooling mirrors a row and a column at each side. ONNX Runtime has no int8 kernel for Pad, but
cuts and joins int8 tensors: each border row is a slice of one row.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from resnet_deploy.graph.constants import constant, insert_node, new_initializer, optional_input
from resnet_deploy.passes.result import PassResult, rewrite_each

_WIDEST = 4
"""Pixels of border on one side; each is a Slice."""


def reflect_pad(model: ir.Model) -> PassResult:
    """Rewrite every Pad of height and width with mode ``reflect`` or ``edge``.

    Refuses other dimensions, cropping, more than four pixels at a side, what is computed at run
    time or of unknown size, and an output that is the graph's.
    """
    return rewrite_each(
        model,
        ("Pad",),
        _replace,
        candidate=lambda pad: pad.attributes.get_string("mode", "constant") in ("reflect", "edge"),
    )


def _replace(graph: ir.Graph, pad: ir.Node) -> str | None:
    x = pad.inputs[0]
    widths, axes = constant(optional_input(pad, 1)), constant(optional_input(pad, 3))
    if x is None or x.shape is None or len(x.shape) != 4 or widths is None:
        return "its input is not known to be an image, or its widths are computed at run time"
    if axes is None and optional_input(pad, 3) is not None:
        return "its axes are computed at run time"
    named = np.arange(4) if axes is None else axes.astype(np.int64) % 4
    full = np.zeros((2, 4), np.int64)
    full[:, named] = np.reshape(widths, (2, -1))
    if full[:, :2].any() or full.min() < 0 or full.max() > _WIDEST:
        return "it pads more than height and width, crops, or is wide"
    sizes = [x.shape[2], x.shape[3]]
    if any(not isinstance(size, int) or size <= full.max() for size in sizes):
        return "its input's height or width is dynamic, or smaller than the border"
    if pad.outputs[0].is_graph_output():
        return "its output is the graph's"
    mirrored = pad.attributes.get_string("mode", "constant") == "reflect"
    value, name, metadata = x, str(pad.name), dict(pad.metadata_props)

    def strip(source: ir.Value, axis: int, place: int) -> ir.Value:
        bounds = [
            new_initializer(graph, f"{name}.{what}", np.array([number], np.int64))
            for what, number in (("start", place), ("end", place + 1), ("axis", axis))
        ]
        return insert_node(
            graph,
            pad,
            "Slice",
            [source, *bounds],
            name=f"{name}.{axis}.{place}",
            dtype=ir.DataType.FLOAT,
            metadata=metadata,
        )

    for axis, size in zip((2, 3), sizes, strict=True):
        assert isinstance(size, int), "dynamic ones were refused"
        before, after = (int(count) for count in full[:, axis])
        first = [n if mirrored else 0 for n in range(before, 0, -1)]
        last = [size - 1 - n if mirrored else size - 1 for n in range(1, after + 1)]
        if not first and not last:
            continue
        strips = {place: strip(value, axis, place) for place in sorted({*first, *last})}
        parts = [*(strips[place] for place in first), value, *(strips[place] for place in last)]
        value = insert_node(
            graph,
            pad,
            "Concat",
            parts,
            name=f"{name}.{axis}",
            dtype=ir.DataType.FLOAT,
            attributes={"axis": axis},
            metadata=metadata,
        )
    pad.outputs[0].replace_all_uses_with(value)
    graph.remove(pad, safe=True)
    return None
