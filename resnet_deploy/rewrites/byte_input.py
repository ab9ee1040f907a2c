"""Bytes normalised in float  =>  a first convolution over the bytes themselves, for int8.

:mod:`resnet_deploy.rewrites.bake_input` leaves ``Cast, Sub(255 mean), Conv``. For int8 the
subtraction moves into the bias, so that the convolution's codes are the bytes and nothing is
rounded. Where the convolution padded with zeros there must now be the mean grey level; whole bytes
are put there, which is at most half a grey level off, at the border only.

ONNX Runtime's direct int8 convolution needs input channels in multiples of four, and three send a
stem through im2col. But four neighbouring pixels of a row *are* 12 channels, without moving a
byte: ``(N, H, W, 3)`` and ``(N, H, W/4, 12)`` are the same memory. A convolution over these, with
stride ``s``, computes the ``4/s`` results of one group of pixels as so many groups of output
channels, and ``(N, H', W'/m, m C)`` is ``(N, H', W', C)`` in memory again:

``y[m j + r] = sum_k w[k] x[s (m j + r) + k - p]`` reads group ``j + g`` at pixel ``4g + q``, with
``4g + q = s r + k - p``. The kernel of output group ``r`` holds ``w[k]`` there and zeros elsewhere.

Measured on a Xeon with VNNI, two threads, the 7x7/2 stem of ResNet-34 with its pooling, from
bytes: im2col 0.82 ms, blocks of 2x2 pixels moved in the graph 0.75 ms, moved by the host 0.51 ms,
this 0.49 ms.

This changes the border, by at most half a grey level, and so what the graph computes there: that is
why it is no pass.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.graph.constants import (
    constant,
    insert_node,
    ints,
    new_initializer,
    optional_input,
    set_parameters,
)
from resnet_deploy.graph.layers import LAYOUT_KEY, absorbed_output
from resnet_deploy.graph.module_names import module_metadata
from resnet_deploy.passes.result import PassResult, Refusal
from resnet_deploy.rewrites.pixel_input import is_ungrouped, mark_pixels

_LEVEL = 1 / 256
"""What a grey level is to the convolution: a power of two, so that no bit of a result changes.

Not 1, because OpenVINO takes a scale of 1 for none, and runs the convolution in float then: 2.6 ms
for the stem of ResNet-50 instead of 0.4 ms.
"""

_RGB = 3
_GROUP = 4
"""Pixels in a group: the fewest whose RGB values are a multiple of four."""

_LAST, _FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
"""Orders of Transpose: channels last, and back in front of the rows."""


def byte_input(model: ir.Model, *, widen: bool = True) -> PassResult:
    """Rewrite the front that ``bake_input`` wrote, in place; other graphs stay as they are.

    Without ``widen``, the convolution keeps its kernel and its three channels. Refuses bytes that
    another front reads, and a convolution with groups, dilations, ``auto_pad`` or parameters that
    are computed at run time.
    """
    graph = model.graph
    x = graph.inputs[0]
    if x.dtype is not ir.DataType.UINT8 or x.shape is None or len(x.shape) != 4:
        return PassResult()
    chain = _front(x)
    if chain is None:
        reason = "what reads it is not one Cast, Sub and Conv (behind a Transpose or not)"
        return PassResult(refusals=(Refusal(str(x.name), reason),))
    *before, cast, subtract, conv = chain
    levels = constant(subtract.inputs[1])
    weight = constant(conv.inputs[1])
    if levels is None or weight is None or not _plain(conv, weight):
        reason = "it has groups, dilations, automatic padding or parameters of run time"
        return PassResult(refusals=(Refusal.of(conv, reason),))
    build = _Builder(graph, before[0] if before else cast, str(conv.name), conv)
    # uint8-nchw: to rows of pixels.
    value = x if before else build.add("Transpose", [x], perm=_LAST)
    levels = levels.ravel()
    pads = list(ints(conv, "pads", (0, 0, 0, 0)))
    stride = ints(conv, "strides", (1, 1))
    width = x.shape[2 if before else 3]
    wide = None
    if widen and isinstance(width, int):
        wide = _widened(weight, stride, pads, width)
    group = 1
    if wide is not None:
        weight, pads, group = wide
        value = build.add("Reshape", [value, build.integers("group", [0, 0, -1, _GROUP * _RGB])])
        stride = (stride[0], 1)
    channels = weight.shape[1]
    border = np.rint(np.resize(levels, channels)).astype(np.uint8)
    value = build.bordered(value, border, pads)
    value = build.add("Transpose", [value], perm=_FIRST)
    value = build.add("Cast", [value], to=int(ir.DataType.FLOAT))
    value = build.add("Mul", [value, build.constant("level", np.array(_LEVEL, np.float32))])
    mark_pixels(value, _LEVEL)
    _rewrite(graph, conv, value, weight, np.resize(levels, channels), stride, group)
    for node in (subtract, cast, *before):
        if not any(output.uses() for output in node.outputs):
            graph.remove(node, safe=True)
    if group > 1:
        _narrow_again(graph, conv, group)
    return PassResult(1)


def _front(x: ir.Value) -> list[ir.Node] | None:
    """Return [Transpose], Cast, Sub and Conv behind the input, if that is what there is."""
    found: list[ir.Node] = []
    value = x
    for op in ("Transpose", "Cast", "Sub", "Conv"):
        uses = list(value.uses())
        if len(uses) != 1 or uses[0].idx != 0:
            return None
        node = uses[0].node
        if op == "Transpose" and node.op_type == "Cast":
            continue
        if node.op_type != op:
            return None
        if op == "Transpose" and tuple(node.attributes["perm"].as_ints()) != _FIRST:
            return None
        found.append(node)
        value = node.outputs[0]
    return found


def _plain(conv: ir.Node, weight: Array) -> bool:
    bias = len(conv.inputs) < 3 or constant(conv.inputs[2]) is not None
    dilated = ints(conv, "dilations", (1, 1)) != (1, 1)
    return bias and weight.ndim == 4 and not dilated and is_ungrouped(conv)


def _widened(
    weight: Array, stride: tuple[int, ...], pads: list[int], width: int
) -> tuple[Array, list[int], int] | None:
    """Return the kernel over groups of pixels, its pads, and how many results a group has.

    None where the pixels don't fall into groups, or the results don't.
    """
    out, channels, height, taps = weight.shape
    step = stride[1]
    top, left, bottom, right = pads
    results = (width + left + right - taps) // step + 1
    if channels != _RGB or width % _GROUP or _GROUP % step:
        return None
    copies = _GROUP // step
    if copies == 1 or results % copies:
        return None
    first = math.floor(-left / _GROUP)
    end = math.floor((step * (copies - 1) + taps - 1 - left) / _GROUP) + 1
    after = results // copies - 1 + end - width // _GROUP  # groups behind the image that are read
    if after < 0:
        return None
    kernel = np.zeros((copies, out, end - first, _GROUP, channels, height), weight.dtype)
    for copy in range(copies):
        for tap in range(taps):
            group, pixel = divmod(step * copy + tap - left, _GROUP)
            kernel[copy, :, group - first, pixel] = weight[:, :, :, tap]
    # (copy, O, g, q, C, h) -> (copy O, q C, h, g)
    wide = kernel.transpose(0, 1, 3, 4, 5, 2).reshape(copies * out, -1, height, end - first)
    return np.ascontiguousarray(wide), [top, -first, bottom, after], copies


def _rewrite(
    graph: ir.Graph,
    conv: ir.Node,
    value: ir.Value,
    weight: Array,
    levels: Array,
    stride: tuple[int, ...],
    copies: int,
) -> None:
    bias = constant(optional_input(conv, 2))
    own = 0.0 if bias is None else np.tile(bias.astype(np.float64), copies)
    shifted = own - np.einsum("oihw,i->o", weight.astype(np.float64), levels.astype(np.float64))
    conv.replace_input_with(0, value)
    set_parameters(graph, conv, f"{conv.name}.levels", weight / _LEVEL, shifted)
    conv.attributes["kernel_shape"] = ir.AttrInt64s("kernel_shape", weight.shape[2:])
    conv.attributes["strides"] = ir.AttrInt64s("strides", stride)
    conv.attributes["pads"] = ir.AttrInt64s("pads", [0] * 4)


def _narrow_again(graph: ir.Graph, conv: ir.Node, copies: int) -> None:
    """Behind ``conv`` and its ReLU: ``(N, m C, H', W'/m)`` to ``(N, C, H', W')``."""
    wide = absorbed_output(conv)
    uses = list(wide.uses())
    weight = constant(conv.inputs[1])
    assert weight is not None, "it was just written"
    usual = wide.shape
    for value in {conv.outputs[0], wide}:
        value.shape = None
    build = _Builder(graph, uses[0].node, f"{conv.name}.wide", conv)
    last = build.add("Transpose", [wide], perm=_LAST)
    shape = build.integers("shape", [0, 0, -1, len(weight) // copies])
    narrow = build.add("Reshape", [last, shape])
    result = build.add("Transpose", [narrow], perm=_FIRST)
    result.shape = usual
    for use in uses:
        use.node.replace_input_with(use.idx, result)


class _Builder:
    """Inserts nodes of the module of ``conv`` in front of ``anchor``, numbered under one name."""

    def __init__(self, graph: ir.Graph, anchor: ir.Node, name: str, conv: ir.Node) -> None:
        self._graph, self._anchor, self._name, self._count = graph, anchor, name, 0
        self._metadata = {**module_metadata(conv), LAYOUT_KEY: "1"}

    def add(self, op: str, inputs: list[ir.Value], **attributes: int | tuple[int, ...]) -> ir.Value:
        name = f"{self._name}.{op.lower()}_{self._count}"
        self._count += 1
        own = {"Cast": ir.DataType.FLOAT, "Shape": ir.DataType.INT64}.get(op)
        return insert_node(
            self._graph,
            self._anchor,
            op,
            inputs,
            name=name,
            dtype=own or inputs[0].dtype or ir.DataType.FLOAT,
            attributes=attributes,
            metadata=dict(self._metadata),
        )

    def constant(self, what: str, value: Array) -> ir.Value:
        return new_initializer(self._graph, f"{self._name}.{what}", value)

    def integers(self, what: str, values: list[int]) -> ir.Value:
        return self.constant(what, np.array(values, np.int64))

    def bordered(self, value: ir.Value, level: Array, pads: list[int]) -> ir.Value:
        """Put ``level`` (one byte per channel) around ``value``, ``(N, H, W, C)``.

        Pad knows one value for all channels. A strip of the image has the shape of the border, the
        batch size of the day included, and Concat copies whole rows.
        """
        top, left, bottom, right = pads
        fill = self.constant("border", level.reshape(1, 1, 1, -1))
        for axis, before, after in ((2, left, right), (1, top, bottom)):
            strips = {n: self._strip(value, fill, axis, n) for n in sorted({before, after} - {0})}
            parts = [*([strips[before]] if before else []), value]
            parts += [strips[after]] if after else []
            if len(parts) > 1:
                value = self.add("Concat", parts, axis=axis)
        return value

    def _strip(self, value: ir.Value, fill: ir.Value, axis: int, width: int) -> ir.Value:
        bounds = [
            self.integers(f"strip_{axis}_{width}_{what}", [number])
            for what, number in (("start", 0), ("end", width), ("axis", axis))
        ]
        strip = self.add("Slice", [value, *bounds])
        return self.add("Expand", [fill, self.add("Shape", [strip])])
