"""The shape of an answer that a file does not declare, or declares in part.

Nets for text give a row of scores for each letter, detectors a map; where their files leave the
sizes open, as those of PaddlePaddle do, only the last size tells them from a classifier's.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from resnet_deploy.graph.settling import known_shapes, settled
from resnet_deploy.graph.skeleton import skeleton

_BATCH = 97
"""A size that nothing but the batch itself is likely to have."""


def sized_output(model: onnx.ModelProto, image: Sequence[int]) -> onnx.ValueInfoProto | None:
    """Return the one output of ``model`` with the sizes that it has for an ``image``.

    Where its first size is not the batch, 1 is in front: there are several rows for an image then.
    None where there are several outputs, where the file tells all sizes itself, and where nothing
    does.

    Args:
        model: takes images only.
        image: the shape of one, in the order in which ``model`` takes it.
    """
    if len(model.graph.output) != 1 or _is_sized(model.graph.output[0]):
        return None
    bare = skeleton(model)
    stored = {tensor.name for tensor in model.graph.initializer}
    taken = next(value for value in bare.graph.input if value.name not in stored)
    dims = taken.type.tensor_type.shape.dim
    batch = dims[0].dim_value or _BATCH
    for dim, size in zip(dims, (batch, *image), strict=True):
        dim.dim_value = size
    # Shapes that were written for unknown sizes would contradict these.
    del bare.graph.value_info[:]
    bare.graph.output[0].type.tensor_type.ClearField("shape")
    try:
        found = known_shapes(settled(bare)[0].graph)
    except (onnx.shape_inference.InferenceError, ValueError):
        return None
    output = model.graph.output[0]
    shape = found.get(output.name)
    if not shape:
        return None
    rows = shape if shape[0] == batch else (1, *shape)
    return onnx.helper.make_tensor_value_info(output.name, output.type.tensor_type.elem_type, rows)


def _is_sized(value: onnx.ValueInfoProto) -> bool:
    tensor = value.type.tensor_type
    return tensor.HasField("shape") and all(dim.dim_value > 0 for dim in tensor.shape.dim[1:])
