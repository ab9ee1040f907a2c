"""Shapes that are computed at run time  =>  constants, with the batch left free.

torch's older exporter writes ``x.view(x.size(0), -1)`` as Shape, Gather, Unsqueeze and Concat in
front of the Reshape, though only the batch can differ from run to run. So all shapes are computed
for several batch sizes: what comes out the same each time is a constant. A Reshape whose target
differs in the batch alone gets ``0`` (as in its input) or ``-1`` (what remains) there, an Expand
``1`` (as in its input), and a Resize to a size that has the batch in it gets the scales.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from resnet_deploy.arrays import Array
from resnet_deploy.canonical.order import read_by, set_nodes
from resnet_deploy.graph.settling import known_shapes, settled
from resnet_deploy.graph.skeleton import skeleton
from resnet_deploy.graph.unique_name import unique_name

_BATCHES = (1, 97)
"""Sizes that nothing but the batch itself is likely to have in common."""

_ASKS = frozenset({"Shape", "Size"})

_SIZES = 3
"""Input of Resize that holds the sizes of its result."""


@dataclass(frozen=True)
class _Run:
    """What holds for one batch size: the shapes that are known whole, and what is computed."""

    shapes: dict[str, tuple[int, ...]]
    values: dict[str, Array]


def fold_shapes(model: onnx.ModelProto) -> int:
    """Compute what depends on shapes that are known; return how many nodes went or changed."""
    graph = model.graph
    if not any(node.op_type in _ASKS for node in graph.node):
        return 0
    runs = _runs(model)
    if not runs:
        return 0
    before = len(graph.node)
    changed = sum(_settle_target(model, node, runs) for node in graph.node)
    same = {name for name in runs[0].values if _agree([run.values.get(name) for run in runs])}
    ends = {value.name for value in graph.output}
    rest = [
        node
        for node in graph.node
        if not same.issuperset(name for name in node.output if name)
        or not ends.isdisjoint(node.output)
    ]
    rest = _alive(rest, ends)
    if len(rest) == before and not changed:
        return 0
    stored = {tensor.name for tensor in graph.initializer}
    made = {name for node in rest for name in node.output}
    wanted = {name for node in rest for name in read_by(node)} - made - stored
    graph.initializer.extend(
        numpy_helper.from_array(runs[0].values[name], name) for name in sorted(wanted & same)
    )
    set_nodes(graph, rest)
    return before - len(rest) + changed


def _runs(model: onnx.ModelProto) -> list[_Run]:
    """Return what holds for several batch sizes, or for the one that is fixed; none if unknown."""
    stored = {tensor.name for tensor in model.graph.initializer}
    images = [value for value in model.graph.input if value.name not in stored]
    if len(images) != 1 or not images[0].type.tensor_type.shape.dim:
        return []
    fixed = images[0].type.tensor_type.shape.dim[0].dim_value > 0
    found = []
    for size in _BATCHES[:1] if fixed else _BATCHES:
        bare = skeleton(model)
        if not fixed:
            image = next(value for value in bare.graph.input if value.name == images[0].name)
            image.type.tensor_type.shape.dim[0].dim_value = size
            # What was written for a free batch would stand against this one.
            del bare.graph.value_info[:]
            for value in bare.graph.output:
                value.type.tensor_type.ClearField("shape")
        try:
            inferred, values = settled(bare)
        except (onnx.shape_inference.InferenceError, ValueError):
            return []
        found.append(_Run(known_shapes(inferred.graph), values))
    return found


def _settle_target(model: onnx.ModelProto, node: onnx.NodeProto, runs: list[_Run]) -> bool:
    """Make the shape that ``node`` gives a constant where only the batch in it is free."""
    kind = node.op_type
    if node.domain not in ("", "ai.onnx") or kind not in _SETTLERS:
        return False
    index = _SIZES if kind == "Resize" else 1
    if len(node.input) <= index or not node.input[index]:
        return False
    targets = [run.values.get(node.input[index]) for run in runs]
    if any(target is None for target in targets) or _agree(targets):
        return False
    sources = [run.shapes.get(node.input[0]) for run in runs]
    results = [run.shapes.get(node.output[0]) for run in runs]
    known = [shape for shape in (*sources, *results) if shape is not None]
    if len(known) < 2 * len(runs):
        return False
    before, afters = (np.array(shapes) for shapes in (known[: len(runs)], known[len(runs) :]))
    constant = _SETTLERS[kind](before, afters)
    if constant is None:
        return False
    taken = {name for other in model.graph.node for name in (*other.input, *other.output)}
    what = "scales" if kind == "Resize" else "shape"
    name = unique_name(
        f"{node.output[0]}.{what}", taken | {t.name for t in model.graph.initializer}
    )
    model.graph.initializer.append(numpy_helper.from_array(constant, name))
    if kind == "Resize":
        node.input[2] = name
        del node.input[_SIZES:]
    else:
        node.input[1] = name
        kept = [given for given in node.attribute if given.name != "allowzero"]
        del node.attribute[:]
        node.attribute.extend(kept)
    return True


def _reshape_target(sources: Array, afters: Array) -> Array | None:
    """Return a target for shapes ``sources`` that become ``afters``, one a row for each batch."""
    varying = np.flatnonzero((afters != afters[0]).any(axis=0))
    if len(varying) != 1 or (afters == 0).any():
        return None
    (free,) = varying
    copies = free < sources.shape[1] and (sources[:, free] == afters[:, free]).all()
    target: Array = afters[0].astype(np.int64)
    target[free] = 0 if copies else -1
    return target


def _resize_scales(sources: Array, afters: Array) -> Array | None:
    """Return scales that make the same sizes, or None where rounding would make others."""
    scales = (afters / sources).astype(np.float32)
    same = (scales == scales[0]).all() and (np.floor(sources * scales[0]) == afters).all()
    result: Array = scales[0]
    return result if same else None


def _expand_target(sources: Array, afters: Array) -> Array | None:
    """Return a target that leaves alone the sizes which differ from batch to batch."""
    target: Array = afters[0].astype(np.int64)
    for axis in np.flatnonzero((afters != afters[0]).any(axis=0)):
        own = axis - afters.shape[1] + sources.shape[1]
        if own < 0 or not (sources[:, own] == afters[:, axis]).all():
            return None
        target[axis] = 1
    return target


_SETTLERS: Mapping[str, Callable[[Array, Array], Array | None]] = {
    "Expand": _expand_target,
    "Reshape": _reshape_target,
    "Resize": _resize_scales,
}
"""Operators with a shape as input, and what makes it a constant."""


def _agree(values: list[Array | None]) -> bool:
    first = values[0]
    return first is not None and all(
        value is not None and value.dtype == first.dtype and np.array_equal(value, first)
        for value in values
    )


def _alive(nodes: list[onnx.NodeProto], ends: set[str]) -> list[onnx.NodeProto]:
    """Return those of sorted ``nodes`` whose result is read in the end."""
    read = set(ends)
    kept = []
    for node in reversed(nodes):
        if not read.isdisjoint(node.output):
            kept.append(node)
            read.update(read_by(node))
    return kept[::-1]
