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
from resnet_deploy.graph.constants import constant, drop_unused, ints, new_initializer
from resnet_deploy.graph.layers import auto_pad
from resnet_deploy.graph.module_names import module_metadata
from resnet_deploy.passes.result import PassResult, rewrite_each

_BLOCK = 2


def space_to_depth_stem(model: ir.Model) -> PassResult:
    """Rewrite the convolutions that read the graph's input with stride 2.

    Refuses other strides, groups, dilations, ``auto_pad``, channels in multiples of four already,
    weights that are computed at run time, and images whose height or width is odd or dynamic.
    """

    def reads_the_image(conv: ir.Node) -> bool:
        return conv.inputs[0] in model.graph.inputs

    return rewrite_each(model, ("Conv",), _rewrite, candidate=reads_the_image)


def _rewrite(graph: ir.Graph, conv: ir.Node) -> str | None:
    if (reason := reason_against_split(conv)) is None:
        split_into_blocks(graph, conv)
    return reason


def reason_against_split(conv: ir.Node) -> str | None:
    """Return why :func:`split_into_blocks` can't rewrite ``conv``, or None where it can."""
    x, weight = conv.inputs[0], constant(conv.inputs[1])
    if x is None or x.shape is None or weight is None or weight.ndim != 4:
        return "its weights are computed at run time, or the shape of its input is not known"
    if not all(isinstance(size, int) and size % _BLOCK == 0 for size in (x.shape[2], x.shape[3])):
        return "the image's height or width is odd or dynamic"
    if weight.shape[1] % 4 == 0:
        return f"its {weight.shape[1]} input channels are a multiple of four already"
    if ints(conv, "strides", (1, 1)) != (_BLOCK, _BLOCK):
        return "its stride is not 2"
    if conv.attributes.get_int("group", 1) != 1 or ints(conv, "dilations", (1, 1)) != (1, 1):
        return "it has groups or dilations"
    padding = auto_pad(conv)
    return None if padding == "NOTSET" else f"its padding is {padding}"


def split_into_blocks(graph: ir.Graph, conv: ir.Node) -> ir.Node:
    """Put a SpaceToDepth and a stride-1 convolution in the place of ``conv``; return the former."""
    weight = constant(conv.inputs[1])
    x = conv.inputs[0]
    assert weight is not None, "reason_against_split wants constant weights"
    assert x is not None, "a convolution has an input"
    top, left, bottom, right = ints(conv, "pads", (0, 0, 0, 0))
    kernel, pads = _split_kernel(weight, (top, bottom), (left, right))

    depth = ir.node(
        "SpaceToDepth",
        [x],
        attributes={"blocksize": _BLOCK},
        name=f"{conv.name}.space_to_depth",
        metadata_props=module_metadata(conv),
    )
    depth.outputs[0].name, depth.outputs[0].type = str(depth.name), x.type
    replacement = ir.node(
        "Conv",
        [depth.outputs[0], new_initializer(graph, f"{conv.name}.weight", kernel), *conv.inputs[2:]],
        attributes={"kernel_shape": list(kernel.shape[2:]), "pads": pads, "strides": [1, 1]},
        name=conv.name,
        metadata_props=dict(conv.metadata_props),
    )
    old_weight = conv.inputs[1]
    ir.convenience.replace_nodes_and_values(
        graph, conv, [conv], [depth, replacement], conv.outputs, replacement.outputs
    )
    drop_unused(graph, old_weight)
    return depth


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
