"""Weights and activations in half or double precision  =>  float32.

Converters to half precision (onnxconverter-common, tf2onnx, onnxruntime.transformers) store weights
in 16 bits and put Casts around what stays in float32. Every float16 and bfloat16 is a float32, so
the weights are widened exactly; results differ by what the file rounded between its operators.
Doubles are rounded once.
What the file itself takes, gives and stores is kept in its metadata, see :func:`stored_types`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

import numpy as np
import onnx

from resnet_deploy.canonical.order import set_nodes
from resnet_deploy.errors import ArtifactError, one_line

_FLOAT: Final = onnx.TensorProto.FLOAT
_HALVES = frozenset((onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16))
_OTHERS = _HALVES | {onnx.TensorProto.DOUBLE}
_TYPED = ("to", "dtype", "output_dtype")
"""Attributes that name an element type (Cast, Random*, EyeLike, QuantizeLinear)."""

_WEIGHTED = frozenset(("Conv", "ConvTranspose", "Gemm", "MatMul"))
_CASTS = frozenset(("Cast", "CastLike"))
STORED_KEY = "resnet_deploy.stored"
"""Key of the metadata; no file on disk has it."""


def widen_floats(model: onnx.ModelProto) -> int:
    """Make all of ``model`` float32 where it computes in another precision."""
    forget_stored(model)
    graph = model.graph
    kinds = _weight_types(graph)
    ends = (*graph.input, *graph.output)
    given = {value.type.tensor_type.elem_type for value in ends} & _OTHERS
    if not kinds and not given:
        return _drop_casts(graph)  # code of mixed precision that ran without it
    stored = {value.name: _name(value.type.tensor_type.elem_type) for value in ends}
    changed = _widen(graph, _HALVES.union(kinds, given))
    changed += _drop_casts(graph)
    stored[""] = _most(kinds)
    model.metadata_props.add(key=STORED_KEY, value=json.dumps(stored))
    return changed


def stored_types(model: onnx.ModelProto) -> dict[str, str]:
    """Return numpy's name of the type that the file of ``model`` has, by input or output.

    The empty name stands for the weights. Nothing for a file that is float32 anyway.
    """
    text = next((item.value for item in model.metadata_props if item.key == STORED_KEY), None)
    found: dict[str, str] = {} if text is None else json.loads(text)
    return found


def weights_type(model: onnx.ModelProto) -> str:
    """Return numpy's name of the type that most weights of ``model`` have, if not float32.

    ``float32`` where there is no other, as for a file that was not widened by this package.
    """
    return _most(_weight_types(model.graph))


def forget_stored(model: onnx.ModelProto) -> None:
    """Take what :func:`stored_types` gives out of ``model``: it is to be written as it is."""
    kept = [item for item in model.metadata_props if item.key != STORED_KEY]
    if len(kept) < len(model.metadata_props):
        del model.metadata_props[:]
        model.metadata_props.extend(kept)


def _weight_types(graph: onnx.GraphProto) -> dict[int, int]:
    """Return how many values the weights of each type other than float32 are.

    Of doubles count those alone that a layer multiplies with: others are arithmetic with sizes.
    """
    read = {name for node in graph.node if node.op_type in _WEIGHTED for name in node.input[1:2]}
    found: dict[int, int] = {}
    for name, tensor in _named_tensors(graph):
        kind = tensor.data_type
        if kind in _HALVES or (kind == onnx.TensorProto.DOUBLE and name in read):
            found[kind] = found.get(kind, 0) + int(np.prod(tensor.dims, dtype=np.float64))
    return found


def _most(kinds: dict[int, int]) -> str:
    return _name(max(kinds, key=lambda kind: kinds[kind], default=_FLOAT))


def _named_tensors(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    yield from ((tensor.name, tensor) for tensor in graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield (node.output[0] if node.output else ""), attribute.t
            for subgraph in _subgraphs(attribute):
                yield from _named_tensors(subgraph)


def _subgraphs(attribute: onnx.AttributeProto) -> Iterator[onnx.GraphProto]:
    if attribute.HasField("g"):
        yield attribute.g
    yield from attribute.graphs


def _widen(graph: onnx.GraphProto, others: frozenset[int]) -> int:
    changed = 0
    for name, tensor in _named_tensors(graph):
        if tensor.data_type in others:
            try:
                with np.errstate(over="ignore"):
                    values = onnx.numpy_helper.to_array(tensor).astype(np.float32)
            except (ValueError, TypeError) as error:
                raise ArtifactError(f"weight {name!r} can't be read: {one_line(error)}") from error
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
            changed += 1
    for inner in (graph, *_inside(graph)):
        for value in (*inner.input, *inner.output, *inner.value_info):
            if value.type.tensor_type.elem_type in others:
                value.type.tensor_type.elem_type = _FLOAT
                changed += 1
        for attribute in (attribute for node in inner.node for attribute in node.attribute):
            if attribute.name in _TYPED and attribute.i in others:
                attribute.i = _FLOAT
                changed += 1
    return changed


def _inside(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    for node in graph.node:
        for attribute in node.attribute:
            for subgraph in _subgraphs(attribute):
                yield subgraph
                yield from _inside(subgraph)


def _drop_casts(graph: onnx.GraphProto) -> int:
    """Make Casts from float32 to float32 Identities, and those in the middle nothing."""
    if not any(node.op_type in _CASTS for node in graph.node):
        return 0
    floats = _float_tensors(graph)
    ends = {value.name for value in graph.output}
    inner_reads = {name for inside in _inside(graph) for node in inside.node for name in node.input}
    inner_reads |= {value.name for inside in _inside(graph) for value in inside.output}
    renamed: dict[str, str] = {}
    kept = []
    dropped = 0
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
        if node.op_type not in _CASTS or not _is_float_cast(node, floats):
            kept.append(node)
            continue
        dropped += 1
        if node.output[0] in ends or node.output[0] in inner_reads:
            identity = onnx.helper.make_node("Identity", node.input[:1], node.output, node.name)
            kept.append(identity)
        else:
            renamed[node.output[0]] = node.input[0]
    if dropped:
        set_nodes(graph, kept)
    return dropped


def _is_float_cast(node: onnx.NodeProto, floats: set[str]) -> bool:
    if not node.input or node.input[0] not in floats or len(node.output) != 1:
        return False
    if node.op_type == "CastLike":
        return len(node.input) > 1 and node.input[1] in floats
    return any(given.name == "to" and given.i == _FLOAT for given in node.attribute)


def _float_tensors(graph: onnx.GraphProto) -> set[str]:
    """Return the names of tensors that are float32 for certain, node after node.

    A tensor is what its operator makes of others: nearly all give the type they get first.
    """
    found = {tensor.name for tensor in graph.initializer if tensor.data_type == _FLOAT}
    described = (*graph.input, *graph.value_info)
    found |= {value.name for value in described if value.type.tensor_type.elem_type == _FLOAT}
    for node in graph.node:
        if node.op_type in ("Constant", "ConstantOfShape"):
            given = [attribute for attribute in node.attribute if attribute.HasField("t")]
            is_float = all(attribute.t.data_type == _FLOAT for attribute in given)
            names = {attribute.name for attribute in node.attribute}
            # Without a value, ConstantOfShape gives float zeros; a Constant has one of many kinds.
            is_float &= bool(given) or node.op_type == "ConstantOfShape" or "value_float" in names
        elif node.op_type == "Cast":
            is_float = any(given.name == "to" and given.i == _FLOAT for given in node.attribute)
        elif node.op_type == "CastLike":
            is_float = len(node.input) > 1 and node.input[1] in found
        else:
            is_float = node.op_type in _KEEP_TYPE and bool(node.input) and node.input[0] in found
        if is_float:
            found.update(node.output[:1])
    return found


_KEEP_TYPE = frozenset(
    # Convolutions, products, pools and norms.
    (
        *("Conv", "ConvTranspose", "Gemm", "MatMul", "MaxPool", "AveragePool", "GlobalAveragePool"),
        *("GlobalMaxPool", "BatchNormalization", "InstanceNormalization", "LayerNormalization"),
        *("GroupNormalization", "RMSNormalization", "LRN", "LpNormalization"),
        # Element by element.
        *("Add", "Sub", "Mul", "Div", "Pow", "Sum", "Mean", "Max", "Min", "Neg", "Abs", "Sqrt"),
        *("Exp", "Log", "Erf", "Reciprocal", "Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu"),
        *("Sigmoid", "HardSigmoid", "HardSwish", "Swish", "Mish", "Gelu", "Tanh", "Softplus"),
        *("Softsign", "Softmax", "LogSoftmax", "Clip", "ThresholdedRelu", "Dropout", "Identity"),
        # Moves and reductions.
        *("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Concat", "Split", "Slice"),
        *("Gather", "Pad", "Expand", "Tile", "Resize", "Upsample", "DepthToSpace", "SpaceToDepth"),
        *("ReduceMean", "ReduceSum", "ReduceMax", "ReduceL2", "Einsum"),
    )
)
"""Operators whose first result has the type of their first input."""


def _name(kind: int) -> str:
    """Return numpy's name of the element type ``kind``; ``float32`` for what has none."""
    try:
        return str(onnx.helper.tensor_dtype_to_np_dtype(kind).name)
    except (KeyError, TypeError, ValueError):
        return "float32"
