"""Pad of height and width  =>  the pads of the window behind it.

``Conv(Pad(x, zeros), pads) = Conv(x, pads + zeros)``; a MaxPool's own pads are -infinity. PyTorch
code that pads as TensorFlow's ``SAME`` becomes such a Pad, which has no int8 kernel in ONNX
Runtime.

A MaxPool whose windows are larger than the padding has a pixel of the image in each, so copies of
the nearest pixels change nothing, nor do zeros among values that a ReLU has made positive.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.graph.constants import constant, drop_unused, ints, optional_input
from resnet_deploy.graph.layers import auto_pad
from resnet_deploy.passes.result import PassResult, rewrite_each

_FILLERS = {"Conv": 0.0, "MaxPool": -np.inf}
"""What an operator's own pads hold."""


def pad_into_window(model: ir.Model) -> PassResult:
    """Move every Pad of height and width into all convolutions and max-pools that read it.

    Refuses padding of other dimensions, other fillings than the window's own, cropping, widths that
    are computed at run time, a window with ``auto_pad`` or ``ceil_mode``, a max-pool that
    gives indices, pads as wide as a max-pool's window, and a Pad that others or the outside read
    too.
    """
    return rewrite_each(model, ("Pad",), _move, candidate=_is_spatial)


def _is_spatial(pad: ir.Node) -> bool:
    """Whether it pads nothing but height and width of a 4-D tensor, with one value or copies."""
    return _mode(pad) in ("constant", "edge") and _sides(pad) is not None


def _mode(pad: ir.Node) -> str:
    return str(pad.attributes.get_string("mode", "constant"))


def _move(graph: ir.Graph, pad: ir.Node) -> str | None:
    sides, filler = _sides(pad), _filler(pad)
    source, padded = pad.inputs[0], pad.outputs[0]
    assert sides is not None, "candidates have them"
    assert source is not None, "Pad has an input"
    if padded.is_graph_output():
        return "its output is the graph's"
    windows = [use.node for use in padded.uses()]
    for window in windows:
        if (reason := _reason_against(window, pad, sides, filler)) is not None:
            return reason
    for window in windows:
        own = np.reshape(ints(window, "pads", (0, 0, 0, 0)), (2, 2))
        window.attributes["pads"] = ir.AttrInt64s("pads", [int(n) for n in (own + sides).ravel()])
        window.replace_input_with(0, source)
    parameters = pad.inputs[1:]
    graph.remove(pad, safe=True)
    drop_unused(graph, *parameters)
    return None


def _reason_against(
    window: ir.Node, pad: ir.Node, sides: Array, filler: float | None
) -> str | None:
    if window.op_type not in _FILLERS or window.inputs[0] is not pad.outputs[0]:
        return f"a {window.op_type} reads it"
    if not _same_values(window, pad, filler):
        return f"{window.op_type} pads with another value"
    if auto_pad(window) != "NOTSET":
        return f"the {window.op_type} pads by the size of its input"
    if window.op_type == "MaxPool":
        kernel = np.array(ints(window, "kernel_shape", ()))
        own = np.reshape(ints(window, "pads", (0, 0, 0, 0)), (2, 2))
        if len(window.outputs) != 1 or window.attributes.get_int("ceil_mode", 0) != 0:
            return "the MaxPool gives indices, or rounds up"
        if (own + sides >= kernel).any():
            return "it is as wide as the MaxPool's window"
    return None


def _same_values(window: ir.Node, pad: ir.Node, filler: float | None) -> bool:
    """Whether the window's own pads give the same result as what ``pad`` fills with."""
    pools = window.op_type == "MaxPool"
    if _mode(pad) == "edge":
        return pools and set(ints(window, "dilations", (1,))) == {1}
    return filler == _FILLERS[window.op_type] or (pools and _is_below(filler, pad))


def _is_below(filler: float | None, pad: ir.Node) -> bool:
    """Whether no value of what is padded is less than ``filler``."""
    source = pad.inputs[0]
    producer = None if source is None else source.producer()
    least = 0.0 if producer is not None and producer.op_type == "Relu" else -np.inf
    if producer is not None and producer.op_type == "Clip":
        bound = constant(optional_input(producer, 1))
        least = -np.inf if bound is None else float(bound)
    return filler is not None and filler <= least


def _sides(pad: ir.Node) -> Array | None:
    """Return ((top, left), (bottom, right)), int64; None where it does anything else."""
    source = pad.inputs[0]
    widths, axes = constant(optional_input(pad, 1)), constant(optional_input(pad, 3))
    if source is None or source.shape is None or len(source.shape) != 4 or widths is None:
        return None
    if axes is None and optional_input(pad, 3) is not None:
        return None
    named = np.arange(4) if axes is None else axes.astype(np.int64) % 4
    if len(widths) != 2 * len(named):
        return None
    full = np.zeros((2, 4), np.int64)
    full[:, named] = np.reshape(widths, (2, -1))
    if full[:, :2].any() or full.min() < 0 or not full.any():
        return None
    sides: Array = full[:, 2:]
    return sides


def _filler(pad: ir.Node) -> float | None:
    """Return the value it fills with; None where that is computed at run time."""
    value = optional_input(pad, 2)
    if value is None:
        return 0.0
    filler = constant(value)
    return None if filler is None else float(filler.ravel()[0])
