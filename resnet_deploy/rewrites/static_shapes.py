"""A graph over batches  =>  one over a single image, whose every tensor has a known shape.

It is made to be looked at (:mod:`resnet_deploy.summarize`), not to be shipped: it takes one image,
and that already cropped.
"""

from __future__ import annotations

import onnx

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.errors import UnsupportedGraphError, one_line
from resnet_deploy.graph.settling import settled
from resnet_deploy.graph.skeleton import skeleton
from resnet_deploy.rewrites.resize_front import without_front


def with_shapes(model: onnx.ModelProto, artifact: Artifact) -> onnx.ModelProto:
    """Return a copy of ``model``, the graph of ``artifact``, for one image, with all shapes.

    What resizes an image is left out: its size is not known, and none of it is a layer. Large
    weights have a shape and no values, so that nothing copies hundreds of megabytes.

    Raises:
        UnsupportedGraphError: the shapes can't be inferred.
    """
    source = without_front(model)
    stored = {tensor.name: tensor for tensor in source.graph.initializer}
    fixed = skeleton(source)
    image = next(value for value in fixed.graph.input if value.name not in stored)
    dims = image.type.tensor_type.shape.dim
    for dim, length in zip(dims, (1, *artifact.image_shape), strict=True):
        dim.dim_value = length
    # What was written for a dynamic batch would stand against what is inferred for one image.
    del fixed.graph.value_info[:]
    for value in fixed.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        inferred, _ = settled(fixed)
    except (onnx.shape_inference.InferenceError, ValueError) as error:
        raise UnsupportedGraphError(
            f"{artifact.path}: the shapes of its tensors can't be inferred ({one_line(error)})"
        ) from error
    graph = inferred.graph
    # What the skeleton made inputs are weights again, without their values: only shapes are asked.
    listed = {value.name for value in source.graph.input}
    for index in reversed(range(len(graph.input))):
        if (name := graph.input[index].name) not in listed:
            weight = stored[name]
            graph.initializer.add(name=name, data_type=weight.data_type, dims=weight.dims)
            del graph.input[index]
    return inferred
