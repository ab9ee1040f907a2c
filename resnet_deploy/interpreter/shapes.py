"""ONNX operators that rearrange values without computing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_deploy.interpreter.node import Converted, Node


def convert_flatten(node: Node) -> Converted:
    """A matrix: the dimensions before the axis, times those from it on."""
    axis = node.attributes.get("axis", 1)
    if axis == 1:
        return partial(torch.flatten, start_dim=1), node.inputs[:1]

    def flatten(x: Tensor) -> Tensor:
        rows = x.shape[:axis].numel() if axis else 1
        return x.reshape(rows, -1)

    return flatten, node.inputs[:1]


def convert_reshape(node: Node) -> Converted:
    """0 copies the input's dimension, unless ``allowzero``; -1 is what remains."""
    copy = not node.attributes.get("allowzero", 0)

    def reshape(x: Tensor, shape: list[int]) -> Tensor:
        return x.reshape([x.shape[i] if copy and d == 0 else d for i, d in enumerate(shape)])

    return _by_shape(node, reshape)


def convert_expand(node: Node) -> Converted:
    """Repeat along dimensions of size one; a 1 in the shape keeps the input's dimension."""

    def expand(x: Tensor, shape: list[int]) -> Tensor:
        return x.expand(torch.broadcast_shapes(x.shape, shape))  # type: ignore[no-untyped-call]

    return _by_shape(node, expand)


def _by_shape(node: Node, call: Callable[[Tensor, list[int]], Tensor]) -> Converted:
    """Bind a shape that is known: reading it from a tensor interrupts a compiled graph."""
    if node.inputs[1] in node.constants:
        known = node.constant(1).tolist()
        return (lambda x: call(x, known)), node.inputs[:1]
    return (lambda x, shape: call(x, shape.tolist())), node.inputs


def convert_squeeze(node: Node) -> Converted:
    """Drop dimensions of size one."""
    axes = node.ints("axes", 1)
    if axes is None:
        return torch.squeeze, node.inputs[:1]
    return partial(torch.squeeze, dim=tuple(axes)), node.inputs[:1]


def convert_unsqueeze(node: Node) -> Converted:
    """Insert dimensions of size one; the axes count in the result."""
    axes = node.ints("axes", 1) or []

    def unsqueeze(x: Tensor) -> Tensor:
        rank = x.ndim + len(axes)
        for axis in sorted(axis % rank for axis in axes):
            x = x.unsqueeze(axis)
        return x

    return unsqueeze, node.inputs[:1]


def convert_space_to_depth(node: Node) -> Converted:
    """Move blocks of pixels into channels, ordered (row, column, channel)."""
    size = int(node.attributes["blocksize"])

    def space_to_depth(x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        blocks = x.reshape(batch, channels, height // size, size, width // size, size)
        return blocks.permute(0, 3, 5, 1, 2, 4).flatten(1, 3)

    return space_to_depth, node.inputs[:1]


def convert_transpose(node: Node) -> Converted:
    """Permute dimensions; without an order, reverse them."""
    order = node.attributes.get("perm")
    return (lambda x: x.permute(order or tuple(reversed(range(x.ndim))))), node.inputs[:1]


def convert_concat(node: Node) -> Converted:
    """Join along one axis."""
    axis = node.attributes["axis"]
    return (lambda *parts: torch.cat(parts, dim=axis)), node.inputs


def convert_slice(node: Node) -> Converted:
    """Cut along some axes, forwards only."""
    starts, ends = node.ints("starts", 1) or [], node.ints("ends", 2) or []
    axes = node.ints("axes", 3) or list(range(len(starts)))
    steps = node.ints("steps", 4) or [1] * len(starts)
    if any(step < 1 for step in steps):
        raise node.unsupported("a slice that runs backwards")

    def cut(x: Tensor) -> Tensor:
        index = [slice(None)] * x.ndim
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            index[axis] = slice(start, end, step)
        return x[tuple(index)]

    return cut, node.inputs[:1]


def convert_pad(node: Node) -> Converted:
    """A border of one constant value, or of the image's own: mirrored, or its edge repeated."""
    mode = node.attributes.get("mode", "constant")
    if mode not in ("constant", "edge", "reflect"):
        raise node.unsupported(f"padding by {mode}")
    pads = node.ints("pads", 1) or []
    value = node.constant(2).item() if node.has(2) else node.attributes.get("value", 0.0)
    axes = node.ints("axes", 3)

    def pad(x: Tensor) -> Tensor:
        both = [(0, 0)] * x.ndim
        for axis, low, high in zip(
            axes or range(x.ndim), pads, pads[len(pads) // 2 :], strict=False
        ):
            both[axis] = (low, high)
        if mode != "constant":
            return _of_the_image(x, both, mirrored=mode == "reflect")
        # PyTorch lists the last dimension first.
        return F.pad(x, [amount for pair in reversed(both) for amount in pair], value=value)

    return pad, node.inputs[:1]


def _of_the_image(x: Tensor, both: list[tuple[int, int]], *, mirrored: bool) -> Tensor:
    """Take what the border holds by index: PyTorch mirrors some ranks only."""
    for axis, (low, high) in enumerate(both):
        if low or high:
            last = x.shape[axis] - 1
            index = torch.arange(-low, last + 1 + high)
            if mirrored:
                index = last - (index.abs() - last).abs()
            x = x.index_select(axis, index.clamp(0, last).to(x.device))
    return x


def convert_constant(node: Node) -> Converted:
    """A tensor, number or list of numbers written in the node."""
    kind, value = next(iter(node.attributes.items()))
    if kind not in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        raise node.unsupported(f"a constant given as {kind}")
    tensor = value if isinstance(value, Tensor) else torch.tensor(value)
    return (lambda: tensor), ()


def convert_gather(node: Node) -> Converted:
    """Take slices along one axis by index; negative indices count from the end."""
    axis = node.attributes.get("axis", 0)

    def gather(x: Tensor, indices: Tensor) -> Tensor:
        wrapped = torch.where(indices < 0, indices + x.shape[axis], indices).long()
        taken = x.index_select(axis, wrapped.flatten())
        return taken.reshape([*x.shape[:axis], *wrapped.shape, *x.shape[axis % x.ndim + 1 :]])

    return gather, node.inputs


def convert_cast(node: Node) -> Converted:
    """Between bytes, the integers that shape arithmetic uses, and floats, which are float32."""
    kinds = {
        1: torch.float32,
        2: torch.uint8,
        3: torch.int8,
        6: torch.int32,
        7: torch.int64,
        10: torch.float32,
        11: torch.float32,
    }
    kind = kinds.get(node.attributes["to"])
    if kind is None:
        raise node.unsupported(f"a cast to ONNX type {node.attributes['to']}")
    return (lambda x: x.to(kind)), node.inputs[:1]
