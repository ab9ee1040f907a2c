"""Channel equalisation of a prepared fp32 graph, for comparison.

In a ReLU network, multiplying channel c of an activation by s_c > 0 and its consumers' weights by
1 / s_c changes nothing. All tensors that are added, pooled or rectified together share their s_c.
Each channel is scaled so that it fills the range of the tensor where it is relatively largest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from resnet_deploy.runners.ort_runner import add_outputs, open_session
from resnet_deploy.spec import SessionSpec

SHARED = frozenset({"Relu", "Add", "MaxPool", "GlobalAveragePool", "Flatten"})
LARGEST = 10.0


def equalize(
    model: onnx.ModelProto, batches: Iterable[NDArray[Any]], exponent: float
) -> onnx.ModelProto:
    """Return ``model`` with its channels scaled; ``exponent`` 1 is all the way, 0 not at all."""
    scaled = onnx.ModelProto()
    scaled.CopyFrom(model)
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in scaled.graph.initializer}
    weighted = [node for node in scaled.graph.node if node.op_type in ("Conv", "Gemm")]
    groups = _groups(scaled, arrays)
    for tensors in groups:
        producers = [node for node in weighted if node.output[0] in tensors]
        consumers = [node for node in weighted if node.input[0] in tensors]
        if not producers or not consumers or scaled.graph.output[0].name in tensors:
            continue
        scale = _scale(model, tensors, batches) ** exponent
        for node in producers:
            weight = arrays[node.input[1]]
            arrays[node.input[1]] = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
            arrays[node.input[2]] = arrays[node.input[2]] * scale
        for node in consumers:
            weight = arrays[node.input[1]]
            arrays[node.input[1]] = weight / scale.reshape(1, -1, *[1] * (weight.ndim - 2))
    del scaled.graph.initializer[:]
    scaled.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(array, numpy_helper.to_array(old).dtype), old.name)
        for old in model.graph.initializer
        for array in (arrays[old.name],)
    )
    return scaled


def _groups(model: onnx.ModelProto, arrays: dict[str, NDArray[Any]]) -> list[set[str]]:
    """Return the sets of tensors whose channels must be scaled alike.

    Where a convolution copies channels (an option-A shortcut), its input and output must not be
    scaled at all.
    """
    groups: list[set[str]] = []
    fixed: set[str] = set()
    for node in model.graph.node:
        joined = {node.output[0]}
        if node.op_type in SHARED:
            joined |= {name for name in node.input if name not in arrays}
        elif node.op_type not in ("Conv", "Gemm") or "copies" in str(node.metadata_props):
            fixed |= {node.output[0], *node.input}
        for group in [known for known in groups if known & joined]:
            joined |= group
            groups.remove(group)
        groups.append(joined)
    return [group for group in groups if not group & fixed]


def _scale(
    model: onnx.ModelProto, tensors: set[str], batches: Iterable[NDArray[Any]]
) -> NDArray[np.float64]:
    """Return by how much each channel may grow until it fills the range of one of ``tensors``."""
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    names = sorted(tensors)
    add_outputs(exposed, names, "the model")
    session = open_session(exposed.SerializeToString(), SessionSpec())
    largest: dict[str, NDArray[np.float64]] = {}
    for batch in batches:
        values = session.run(names, {model.graph.input[0].name: batch})
        for name, value in zip(names, values, strict=True):
            peak = np.abs(np.moveaxis(value, 1, 0)).reshape(value.shape[1], -1).max(axis=1)
            largest[name] = np.maximum(largest.get(name, 0), peak)
    share = np.max([peak / peak.max() for peak in largest.values()], axis=0)
    scale: NDArray[np.float64] = np.minimum(1 / np.maximum(share, 1 / LARGEST), LARGEST)
    return scale
