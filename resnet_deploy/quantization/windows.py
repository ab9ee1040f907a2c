"""The inputs of every output pixel of a convolution, as a view on its input."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.lib.stride_tricks import sliding_window_view

from resnet_deploy.arrays import Array
from resnet_deploy.graph.constants import ints


def windows_of(node: ir.Node, codes: Array, kernel: tuple[int, ...], zero_point: int) -> Array:
    """Return a view ``(N, C, *output size, *kernel)`` on ``codes`` ``(N, C, *size)``.

    ``kernel`` is the size of that of ``node``, a Conv; any other operator has none, and gets its
    codes back. ``zero_point`` is the code that stands around the image.
    """
    axes = len(kernel)
    strides = ints(node, "strides", (1,) * axes)
    dilations = ints(node, "dilations", (1,) * axes)
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    before, after = _pads(node, codes.shape[2:], reach, strides)
    around = [(0, 0), (0, 0), *zip(before, after, strict=True)]
    padded = np.pad(codes, around, constant_values=zero_point)
    view = sliding_window_view(padded, reach, axis=tuple(range(2, 2 + axes)))
    steps = [slice(None, None, step) for step in (1, 1, *strides, *dilations)]
    return view[tuple(steps)]


def _pads(
    node: ir.Node, size: tuple[int, ...], reach: list[int], strides: tuple[int, ...]
) -> tuple[list[int], list[int]]:
    """Return the pixels put before and after the image by spatial axis, as the operator says."""
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    if not auto.startswith("SAME"):
        pads = list(ints(node, "pads", (0,) * (2 * len(size))))
        return pads[: len(size)], pads[len(size) :]
    total = [
        max(0, (-(-pixels // step) - 1) * step + far - pixels)
        for pixels, far, step in zip(size, reach, strides, strict=True)
    ]
    smaller, larger = [pads // 2 for pads in total], [pads - pads // 2 for pads in total]
    return (smaller, larger) if auto == "SAME_UPPER" else (larger, smaller)
