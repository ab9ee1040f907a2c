"""Operators that never left the experiment  =>  what they compute.

ONNX 1.0 had operators that later versions dropped, so its checker no longer knows them, but ONNX
Runtime still runs them up to opset 9: CoreML's and CNTK's converters put an ImageScaler in front.
Source: ONNX Runtime, ``docs/OperatorKernels.md`` and ``core/graph/contrib_ops/contrib_defs.cc``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper, numpy_helper

from resnet_deploy.arrays import Array
from resnet_deploy.canonical.order import set_nodes
from resnet_deploy.graph.releases import opset_of
from resnet_deploy.graph.unique_name import unique_name

_LAST = 9
"""Opset up to which ONNX Runtime has them."""

_NUMPY = 7
"""From here on Mul and Add broadcast by themselves; before, along an attribute ``axis``."""

_BORDERS = 4
_END = 2**63 - 1

Affine = tuple[Array, Array]
"""Factor and summand: numbers, or one per channel."""


def replace_experimental(model: onnx.ModelProto) -> int:
    """Replace ImageScaler, Affine, Scale and Crop; return how many there were.

    The first three are a Mul and an Add, the last is a Slice. Others, and those whose attributes
    are missing, stay; the checker then names them.
    """
    graph = model.graph
    opset = opset_of(model)
    if not 0 < opset <= _LAST:
        return 0
    crops = [_slice(node) for node in graph.node]
    found = [(crop or node, _affine(node)) for node, crop in zip(graph.node, crops, strict=True)]
    count = sum(affine is not None for _, affine in found) + sum(map(bool, crops))
    if not count:
        return 0
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    taken.update(tensor.name for tensor in graph.initializer)
    nodes: list[onnx.NodeProto] = []
    for node, affine in found:
        if affine is None:
            nodes.append(node)
            continue
        names = []
        for what in ("scaled", "scale", "bias"):
            names.append(unique_name(f"{node.output[0]}.{what}", taken))
            taken.add(names[-1])
        scaled, *constants = names
        pair = [
            helper.make_node("Mul", [node.input[0], constants[0]], [scaled], name=node.name),
            helper.make_node("Add", [scaled, constants[1]], node.output[:1]),
        ]
        for new, name, array in zip(pair, constants, affine, strict=True):
            values = array.astype(np.float32)
            if opset < _NUMPY:
                values = values.ravel()
                new.attribute.append(helper.make_attribute("broadcast", 1))
                new.attribute.append(helper.make_attribute("axis", 1))
            graph.initializer.append(numpy_helper.from_array(values, name))
        nodes += pair
    set_nodes(graph, nodes)
    return count


def _image_scaler(given: dict[str, onnx.AttributeProto]) -> Affine:
    return np.array(given["scale"].f), np.array(given["bias"].floats).reshape(-1, 1, 1)


def _plain_affine(given: dict[str, onnx.AttributeProto]) -> Affine:
    return np.array(given["alpha"].f), np.array(given["beta"].f)


def _scale(given: dict[str, onnx.AttributeProto]) -> Affine:
    return np.array(given["scale"].f), np.zeros(())


_KNOWN: dict[str, Callable[[dict[str, onnx.AttributeProto]], Affine]] = {
    "Affine": _plain_affine,
    "ImageScaler": _image_scaler,
    "Scale": _scale,
}


def _affine(node: onnx.NodeProto) -> Affine | None:
    """Return what ``node`` multiplies by and adds, or None where it is something else."""
    read = _KNOWN.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if read is None or len(node.input) != 1 or len(node.output) != 1:
        return None
    try:
        return read({given.name: given for given in node.attribute})
    except KeyError:
        return None


def _slice(node: onnx.NodeProto) -> onnx.NodeProto | None:
    """Return what a Crop leaves of a picture (left, top, right and bottom border), else None."""
    given = {entry.name: list(entry.ints) for entry in node.attribute}
    border, size = given.get("border", []), given.get("scale", [])
    ours = node.op_type == "Crop" and node.domain in ("", "ai.onnx")
    if not ours or len(border) != _BORDERS or len(size) not in (0, 2):
        return None
    left, top, right, bottom = border
    starts = [top, left]
    ends = [-far if far else _END for far in (bottom, right)]
    if size:  # height and width
        ends = [start + extent for start, extent in zip(starts, size, strict=True)]
    return helper.make_node(
        "Slice",
        node.input[:1],
        node.output[:1],
        name=node.name,
        axes=[2, 3],
        starts=starts,
        ends=ends,
    )
