"""AveragePool  =>  a mean over the whole image, or a depthwise convolution, for int8.

A window as large as the image is GlobalAveragePool. Another is the convolution of each channel with
``1 / (h w)``, whose int8 code is 127 everywhere: exact. ONNX Runtime's QLinearAveragePool goes
through float, pixel by pixel.

Measured on a Xeon with AMX, one thread, 2x2 of stride 2, microseconds pool -> convolution:

    64 channels of 112x112   1024 -> 78      512 channels of 28x28    439 -> 34
    256 channels of 56x56     895 -> 66      1024 channels of 14x14   226 -> 29
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from resnet_deploy.graph.constants import ints, new_initializer
from resnet_deploy.graph.layers import auto_pad
from resnet_deploy.passes.depthwise import channels_of
from resnet_deploy.passes.result import PassResult, rewrite_each

_LARGEST = 25
"""Pixels in a window that is worth a convolution."""


def average_pool(model: ir.Model) -> PassResult:
    """Rewrite every AveragePool that averages as many pixels in all places.

    Refuses windows that reach over the border where that does not count, or where ``ceil_mode``
    adds pixels, windows of more than 25 pixels, and images of unknown channels or size. Dilated
    windows may be of any size: ONNX Runtime has no other int8 kernel for them.
    """
    return rewrite_each(model, ("AveragePool",), _replace)


def _replace(graph: ir.Graph, pool: ir.Node) -> str | None:
    x, kernel = pool.inputs[0], ints(pool, "kernel_shape", ())
    channels = channels_of(x)
    if x is None or x.shape is None or channels is None or len(kernel) != 2:
        return "its input is not known to be an image"
    size, strides, pads = x.shape.dims[2:], ints(pool, "strides", (1, 1)), ints(pool, "pads", (0,))
    dilations = ints(pool, "dilations", (1, 1))
    span = tuple((pixels - 1) * step + 1 for pixels, step in zip(kernel, dilations, strict=True))
    whole = size == kernel == span and not any(pads)
    if (reason := _reason_against(pool, size, span, strides, pads)) is not None:
        return reason
    if math.prod(kernel) > _LARGEST and not whole and span == kernel:
        return "its window is large"
    metadata = dict(pool.metadata_props)
    if whole:
        new = ir.node("GlobalAveragePool", [x], name=pool.name, metadata_props=metadata)
    else:
        weight = np.full((channels, 1, *kernel), 1 / math.prod(kernel), np.float32)
        inputs = [
            x,
            new_initializer(graph, f"{pool.name}.weight", weight),
            new_initializer(graph, f"{pool.name}.bias", np.zeros(channels, np.float32)),
        ]
        attributes: dict[str, int | tuple[int, ...]] = {
            "group": channels,
            "kernel_shape": kernel,
            "strides": strides,
            "dilations": dilations,
            "pads": pads if any(pads) else (0, 0, 0, 0),
        }
        new = ir.node("Conv", inputs, attributes, name=pool.name, metadata_props=metadata)
    ir.convenience.replace_nodes_and_values(graph, pool, [pool], [new], pool.outputs, new.outputs)
    return None


def _reason_against(
    pool: ir.Node,
    size: tuple[object, ...],
    span: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
) -> str | None:
    """Return why not all of its means are of as many pixels, or None."""
    if auto_pad(pool) not in ("NOTSET", "VALID"):
        return "it pads by the size of its input"
    if any(pads) and not pool.attributes.get_int("count_include_pad", 0):
        return "its border does not count"
    if pool.attributes.get_int("ceil_mode", 0) and not _divides(size, span, strides, pads):
        return "it rounds the size up"
    return None


def _divides(
    size: tuple[object, ...],
    span: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
) -> bool:
    """Whether whole windows end with the image, so that nothing is rounded."""
    both = [pads[0] + pads[2], pads[1] + pads[3]] if any(pads) else [0, 0]
    return all(
        isinstance(pixels, int) and (pixels + border - window) % step == 0
        for pixels, border, window, step in zip(size, both, span, strides, strict=True)
    )
