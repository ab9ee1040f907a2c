"""Outputs that the file only names  =>  outputs with a type and a shape.

Who wants to see an inner tensor adds ``ValueInfoProto(name=…)`` to the outputs of a file. ONNX
Runtime infers the rest; the checker asks for it.
"""

from __future__ import annotations

import contextlib

import onnx

from resnet_deploy.graph.skeleton import skeleton


def describe_outputs(model: onnx.ModelProto) -> int:
    """Give outputs of ``model`` the type that ONNX infers; return how many had none, or no shape.

    A second output of which nothing can be said is left out.
    """
    missing = [value for value in model.graph.output if _is_bare(value)]
    if not missing:
        return 0
    known: dict[str, onnx.TypeProto] = {}
    bare = skeleton(model)
    # Shapes are inferred through them at every call: exponentially, where they call each other.
    del bare.functions[:]
    with contextlib.suppress(onnx.shape_inference.InferenceError, ValueError, RuntimeError):
        bare = onnx.shape_inference.infer_shapes(bare, data_prop=True)
        found = (*bare.graph.input, *bare.graph.value_info, *bare.graph.output)
        known = {value.name: value.type for value in found if not _is_bare(value)}
    for value in missing:
        if value.name in known:
            value.type.CopyFrom(known[value.name])
    described = [value for value in model.graph.output if not _is_bare(value)]
    if 0 < len(described) < len(model.graph.output):
        del model.graph.output[:]
        model.graph.output.extend(described)
    return len(missing)


def _is_bare(value: onnx.ValueInfoProto) -> bool:
    """Whether ``value`` has no type, or is a tensor without a shape or a type of its values."""
    kind, tensor = value.type.WhichOneof("value"), value.type.tensor_type
    return kind is None or (
        kind == "tensor_type" and not (tensor.elem_type and tensor.HasField("shape"))
    )
