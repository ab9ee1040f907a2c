"""Sizes that are not sizes  =>  free ones.

A batch of any size is a name, or nothing (ONNX, docs/IR.md); other tools write -1, as TensorFlow
does, or 0, as MXNet and Caffe do, often in the output alone. ONNX Runtime takes -1 for a free size
and refuses every batch where the input says 0. A size below 1 is not a picture's either, so height
and width are treated alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx

_BATCH = "N"


def free_sizes(model: onnx.ModelProto) -> int:
    """Free each dimension of inputs and outputs that is below 1.

    The batch of an output becomes that of the input. Shapes inside the graph that were made of such
    sizes are dropped: they can be inferred anew.
    """
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    batch = onnx.TensorShapeProto.Dimension(dim_param=_BATCH)
    freed = sum(_free(value, batch) for value in inputs)
    if len(inputs) == 1 and (dims := _dims(inputs[0])) and dims[0].WhichOneof("value"):
        batch = dims[0]
    freed += sum(_free(value, batch) for value in graph.output)
    inside = sum(any(map(_is_none, _dims(value))) for value in graph.value_info)
    if freed or inside:
        del graph.value_info[:]
    return freed + inside


def _free(value: onnx.ValueInfoProto, batch: onnx.TensorShapeProto.Dimension) -> int:
    found = 0
    for axis, dim in enumerate(_dims(value)):
        if _is_none(dim):
            dim.Clear()
            if axis == 0:
                dim.CopyFrom(batch)
            found += 1
    return found


def _dims(value: onnx.ValueInfoProto) -> Sequence[onnx.TensorShapeProto.Dimension]:
    return value.type.tensor_type.shape.dim


def _is_none(dim: onnx.TensorShapeProto.Dimension) -> bool:
    return dim.HasField("dim_value") and dim.dim_value < 1
