"""A depthwise 1x1 convolution: one factor and one offset per channel, in an int8 kernel."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.graph.constants import new_initializer


def channels_of(value: ir.Value | None) -> int | None:
    """Return the channels of an image ``(N, C, H, W)``, or None for anything else."""
    shape = None if value is None else value.shape
    if shape is None or len(shape) != 4:
        return None
    channels = shape[1]
    return channels if isinstance(channels, int) else None


def depthwise(
    graph: ir.Graph,
    x: ir.Value | None,
    scale: Array,
    shift: Array,
    *,
    name: str,
    metadata: dict[str, str],
) -> ir.Node:
    """Return ``scale x + shift``, ``(C,)`` each, as a Conv called ``name`` that is in no graph yet.

    Its float32 weights are in ``graph``; so is its output's shape known where that of ``x`` is.
    """
    weight = np.asarray(scale, np.float32).reshape(-1, 1, 1, 1)
    inputs = [
        x,
        new_initializer(graph, f"{name}.weight", weight),
        new_initializer(graph, f"{name}.bias", np.asarray(shift, np.float32)),
    ]
    attributes: dict[str, int | tuple[int, ...]] = {"group": len(weight), "kernel_shape": (1, 1)}
    conv = ir.node("Conv", inputs, attributes, name=name, metadata_props=metadata)
    output = conv.outputs[0]
    output.name = name
    if x is not None:
        output.type, output.shape = x.type, x.shape
    return conv
