"""Option A's shortcut, Slice(::s) and Pad(channels)  =>  a 1x1 convolution of stride s.

The convolution's weights are ones and zeros, so it copies: ``y[c + before] = x[c, ::s, ::s]``. In
int8 it is exact (the code 127 times the scale 1/127), while Pad has no int8 kernel in ONNX Runtime
and would drag the shortcut through float.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from resnet_deploy.graph.constants import constant, new_initializer, optional_input
from resnet_deploy.graph.layers import FLOAT_KEY
from resnet_deploy.graph.module_names import module_metadata
from resnet_deploy.passes.result import PassResult, Refusal

COPIES_KEY = "resnet_deploy.copies"
"""Metadata of a convolution that only copies: its output keeps the range of its input."""


def zero_pad_shortcut(model: ir.Model) -> PassResult:
    """Rewrite every Pad of channels with zeros, and the strided Slices in front of it.

    Refuses padding of height, width or batch, non-zero filling, negative pads, what is computed at
    run time, and slices that do not take every s-th pixel from the first on.
    """
    pads = [
        node
        for node in model.graph
        if node.op_type == "Pad" and FLOAT_KEY not in node.metadata_props
    ]
    return sum((_rewrite(model.graph, pad) for pad in pads), PassResult())


def _rewrite(graph: ir.Graph, pad: ir.Node) -> PassResult:
    padding = _channel_padding(pad)
    if isinstance(padding, str):
        return PassResult(refusals=(Refusal.of(pad, padding),))
    source = pad.inputs[0]
    assert source is not None, "Pad has an input"
    strides = [1, 1]
    slices: list[ir.Node] = []
    left: tuple[Refusal, ...] = ()
    while (producer := source.producer()) is not None and producer.op_type == "Slice":
        steps = _spatial_steps(producer)
        if steps is None or len(source.uses()) != 1 or source.is_graph_output():
            why = "it does not take every s-th pixel" if steps is None else "others read it, too"
            left = (Refusal.of(producer, why),)
            break
        strides = [strides[0] * steps[0], strides[1] * steps[1]]
        slices.append(producer)
        source = producer.inputs[0]
        assert source is not None, "Slice has an input"
    channels = source.shape[1] if source.shape is not None else None
    if not isinstance(channels, int):
        return PassResult(refusals=(Refusal.of(pad, "its input's channels are not known"),))

    before, after = padding
    weight = np.zeros((before + channels + after, channels, 1, 1), np.float32)
    weight[before + np.arange(channels), np.arange(channels)] = 1.0
    name = str(pad.name)
    conv = ir.node(
        "Conv",
        [
            source,
            new_initializer(graph, f"{name}.weight", weight),
            new_initializer(graph, f"{name}.bias", np.zeros(len(weight), np.float32)),
        ],
        attributes={"kernel_shape": [1, 1], "strides": strides},
        name=name,
        metadata_props={**module_metadata(pad), COPIES_KEY: "1"},
    )
    ir.convenience.replace_nodes_and_values(
        graph, pad, [pad, *slices], [conv], pad.outputs, conv.outputs
    )
    return PassResult(1, left)


def _channel_padding(pad: ir.Node) -> tuple[int, int] | str:
    """Return the zeros before and after the channels of a 4-D tensor, or what else it is."""
    source = pad.inputs[0]
    if source is None or source.shape is None or len(source.shape) != 4:
        return "its input is not known to have four dimensions"
    mode = pad.attributes.get_string("mode", "constant")
    pads = constant(pad.inputs[1])
    filler, axes = constant(optional_input(pad, 2)), constant(optional_input(pad, 3))
    given = [value for value in pad.inputs[2:] if value is not None]
    if pads is None or any(constant(value) is None for value in given):
        return "its widths or its filling are computed at run time"
    if mode != "constant" or (filler is not None and float(filler) != 0.0):
        return "it does not fill with zeros"
    axes = np.arange(len(pads) // 2) if axes is None else axes
    full = np.zeros((4, 2), np.int64)
    for axis, begin, end in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        full[int(axis)] = (begin, end)
    if np.delete(full, 1, axis=0).any() or full.min() < 0:
        return "it pads more than the channels, or crops"
    return int(full[1, 0]), int(full[1, 1])


def _spatial_steps(node: ir.Node) -> tuple[int, int] | None:
    """Return (row step, column step) of a Slice that starts at 0 and runs to the end."""
    starts, ends, axes, steps = (constant(optional_input(node, i)) for i in range(1, 5))
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    if starts is None or ends is None or axes is None or steps is None or shape is None:
        return None
    result = [1, 1]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        dim = shape[int(axis)]
        to_the_end = end >= (dim if isinstance(dim, int) else 2**31 - 1)
        if start != 0 or not to_the_end or step < 1:
            return None
        if int(axis) % 4 in (2, 3):
            result[int(axis) % 4 - 2] = int(step)
        elif step != 1:
            return None
    return result[0], result[1]
