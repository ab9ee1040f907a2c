"""A stride-2 convolution over the image  =>  SpaceToDepth(2) and a stride-1 convolution.

ONNX Runtime's direct int8 convolution needs input channels in multiples of four; the three of an
image send the 7x7/2 stem through im2col, about twice as slow. SpaceToDepth makes 12 channels of
half the height and width. The kernel is padded with zeros to an even size and an even offset, then
split the same way, so every product and sum of the original is there and nothing else:

``y[i] = sum_k w[k] x[2i + k - p]``, with ``k - p = 2a + b``, is ``sum_{a,b} w'[a,b] x'[i + a, b]``.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.onnx_file import MODULE_KEY
from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.graph.constants import constant, ints, new_initializer

_BLOCK = 2


def space_to_depth_stem(model: ir.Model) -> int:
    """Rewrite the convolutions that read the graph's input with stride 2.

    Refuses groups, dilations, ``auto_pad``, channels in multiples of four already, and images
    whose height or width is odd or dynamic.
    """
    rewritten = 0
    for node in list(model.graph):
        if node.op_type == "Conv" and _is_stem(node, model.graph):
            _rewrite(model.graph, node)
            rewritten += 1
    return rewritten


def split_stem(graph: ir.Graph, conv: ir.Node) -> None:
    """Rewrite ``conv`` for an input that comes in blocks of 2x2 pixels, ``(N, 12, H/2, W/2)``.

    Raises:
        UnsupportedGraphError: as :func:`space_to_depth_stem` refuses.
    """
    x = conv.inputs[0]
    if x is None or not _is_stem(conv, graph):
        raise UnsupportedGraphError(
            f"blocks of 2x2 pixels need an even image size and a first convolution of stride 2, "
            f"which {conv.name} is not: use --input uint8-nhwc"
        )
    _rewrite(graph, conv)
    depth = next(use.node for use in x.uses())
    blocks = depth.outputs[0]
    ir.convenience.replace_all_uses_with(blocks, x)
    graph.remove(depth, safe=True)


def _is_stem(node: ir.Node, graph: ir.Graph) -> bool:
    x, weight = node.inputs[0], constant(node.inputs[1])
    if x is None or x not in graph.inputs or x.shape is None or weight is None:
        return False
    height, width = x.shape[2], x.shape[3]
    even = all(isinstance(size, int) and size % _BLOCK == 0 for size in (height, width))
    auto_pad = node.attributes["auto_pad"].as_string() if "auto_pad" in node.attributes else ""
    group = node.attributes["group"].as_int() if "group" in node.attributes else 1
    return (
        even
        and weight.ndim == 4
        and weight.shape[1] % 4 != 0
        and group == 1
        and auto_pad in ("", "NOTSET")
        and ints(node, "strides", (1, 1)) == (_BLOCK, _BLOCK)
        and ints(node, "dilations", (1, 1)) == (1, 1)
    )


def _rewrite(graph: ir.Graph, conv: ir.Node) -> None:
    weight = constant(conv.inputs[1])
    x, y = conv.inputs[0], conv.outputs[0]
    assert weight is not None, "_is_stem takes constant weights only"
    assert x is not None, "_is_stem takes convolutions of the graph's input only"
    top, left, bottom, right = ints(conv, "pads", (0, 0, 0, 0))
    kernel, pads = _split_kernel(weight, (top, bottom), (left, right))

    module = conv.metadata_props.get(MODULE_KEY, "")
    depth = ir.node(
        "SpaceToDepth",
        [x],
        attributes={"blocksize": _BLOCK},
        name=f"{conv.name}.space_to_depth",
        metadata_props={MODULE_KEY: module},
    )
    depth.outputs[0].name, depth.outputs[0].type = str(depth.name), x.type
    stem = str(conv.name)
    replacement = ir.node(
        "Conv",
        [depth.outputs[0], new_initializer(graph, f"{stem}.weight", kernel), *conv.inputs[2:]],
        attributes={
            "kernel_shape": list(kernel.shape[2:]),
            "pads": pads,
            "strides": [1, 1],
        },
        name=conv.name,
        metadata_props=dict(conv.metadata_props),
    )
    output = replacement.outputs[0]
    output.name, output.type, output.shape = y.name, y.type, y.shape
    graph.insert_before(conv, [depth, replacement])
    ir.convenience.replace_all_uses_with(y, output, replace_graph_outputs=True)
    old_weight = conv.inputs[1]
    graph.remove(conv, safe=True)
    if old_weight is not None and not old_weight.uses():
        graph.initializers.pop(str(old_weight.name), None)


def _split_kernel(
    weight: Array, vertical: tuple[int, int], horizontal: tuple[int, int]
) -> tuple[Array, list[int]]:
    """Return the kernel over 4C channels, and its pads (top, left, bottom, right).

    Zeros in front make the offset even, zeros behind make the size even. What was padding of p
    pixels becomes padding of ceil(p / 2) blocks. SpaceToDepth orders channels (row, column, C).
    """
    out_channels, channels, height, width = weight.shape
    before = (vertical[0] % 2, horizontal[0] % 2)
    after = ((height + before[0]) % 2, (width + before[1]) % 2)
    padded = np.pad(weight, ((0, 0), (0, 0), (before[0], after[0]), (before[1], after[1])))
    rows, columns = padded.shape[2] // _BLOCK, padded.shape[3] // _BLOCK
    split = padded.reshape(out_channels, channels, rows, _BLOCK, columns, _BLOCK)
    kernel = split.transpose(0, 3, 5, 1, 2, 4).reshape(out_channels, -1, rows, columns)

    def pads(size: int, begin: int, end: int, blocks: int) -> tuple[int, int]:
        """The output has floor((S + begin + end - size) / 2) + 1 pixels for even S."""
        first = (begin + begin % 2) // _BLOCK
        # S/2 + first + last - blocks + 1 outputs, as many as before.
        last = (begin + end - size) // _BLOCK + blocks - first
        return first, last

    top, bottom = pads(height, *vertical, rows)
    left, right = pads(width, *horizontal, columns)
    return np.ascontiguousarray(kernel), [top, left, bottom, right]
