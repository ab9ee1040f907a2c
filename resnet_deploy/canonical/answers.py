"""Outputs that are not tensors  =>  the tensors in front of them.

Classifiers that scikit-learn, Custom Vision or ML.NET wrote end in a ZipMap: a sequence of maps
from the name of a class to its score. The scores are the answer, and the names are kept as the
metadata entry ``names``, which is where other exporters leave them. The most likely class by name,
a tensor of strings, says nothing that the scores don't.

Source: ONNX, docs/Operators-ml.md (ZipMap, ArrayFeatureExtractor, LabelEncoder).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import onnx

from resnet_deploy.canonical.outputs import drop_unused
from resnet_deploy.errors import UnsupportedGraphError

NAMES = "names"
"""Key of the metadata under which class names are, in JSON."""

_ML = "ai.onnx.ml"
_IN_FRONT = frozenset(("ZipMap", "SequenceConstruct", "Optional", "Identity"))
"""Operators whose first input holds the values of what they wrap."""

_PASSED = frozenset(("Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten"))
_MOST_LETTERS = 1 << 20
"""Of all class names together: ImageNet-21k's take half of them."""

_MOST_CLASSES = 1 << 16


def tensors_for_answers(model: onnx.ModelProto) -> int:
    """Make outputs that are not tensors of numbers into the scores that they are made of.

    Raises:
        UnsupportedGraphError: none of the outputs is one, or made of one.
    """
    graph = model.graph
    odd = [value for value in graph.output if not _is_numbers(value)]
    if not odd:
        return 0
    made_by = {name: node for node in graph.node for name in node.output}
    names = _names(graph, odd, made_by)
    kept = [value for value in graph.output if _is_numbers(value)]
    for value in odd:
        scores = _scores(value, made_by)
        if scores and scores not in {output.name for output in kept}:
            kept.append(_output(value, scores, model, made_by))
    if not kept:
        listed = ", ".join(f"{value.name} ({_kind(value)})" for value in odd)
        raise UnsupportedGraphError(
            f"no output is a tensor of numbers, nor made of one: {listed}; export the scores of "
            "the classes as well"
        )
    del graph.output[:]
    graph.output.extend(kept)
    drop_unused(model)
    if names:
        others = [entry for entry in model.metadata_props if entry.key != NAMES]
        del model.metadata_props[:]
        model.metadata_props.extend(others)
        model.metadata_props.add(key=NAMES, value=json.dumps(names, ensure_ascii=False))
    return len(odd)


def _is_numbers(value: onnx.ValueInfoProto) -> bool:
    of_tensor = value.type.WhichOneof("value") in ("tensor_type", None)
    return of_tensor and value.type.tensor_type.elem_type != onnx.TensorProto.STRING


def _kind(value: onnx.ValueInfoProto) -> str:
    kind = str(value.type.WhichOneof("value")).removesuffix("_type")
    return "strings" if kind == "tensor" else kind


def _scores(value: onnx.ValueInfoProto, made_by: dict[str, onnx.NodeProto]) -> str:
    """Return the tensor of numbers that ``value`` wraps; empty where it wraps none."""
    if value.type.WhichOneof("value") == "tensor_type":
        return ""  # strings
    name, wrapped = value.name, False
    for _ in range(len(made_by) + 1):  # a damaged file may hold a ring
        node = made_by.get(name)
        if node is None or node.op_type not in _IN_FRONT or len(node.input) != 1:
            break
        name, wrapped = node.input[0], wrapped or node.op_type != "Identity"
    return name if wrapped else ""


def _output(
    value: onnx.ValueInfoProto,
    scores: str,
    model: onnx.ModelProto,
    made_by: dict[str, onnx.NodeProto],
) -> onnx.ValueInfoProto:
    """Return the output ``value`` as the tensor ``scores``, which gets its name."""
    graph = model.graph
    wrapper = next(node for node in graph.node if value.name in node.output)
    wrapper.output[list(wrapper.output).index(value.name)] = ""
    result = onnx.ValueInfoProto()
    result.CopyFrom(_declared(scores, model) or _row(scores, len(_labels_of(wrapper))))
    result.name = value.name
    maker = made_by.get(scores)
    if maker is None:  # an input or a constant of the graph
        graph.node.add(op_type="Identity", input=[scores], output=[value.name])
        return result
    maker.output[list(maker.output).index(scores)] = value.name
    _rename(graph, scores, value.name)
    return result


def _declared(name: str, model: onnx.ModelProto) -> onnx.ValueInfoProto | None:
    """Return the type and shape of a tensor, where they can be inferred."""
    infos = list(model.graph.value_info)
    if all(info.name != name for info in infos):
        try:
            infos = list(onnx.shape_inference.infer_shapes(model).graph.value_info)
        except (RuntimeError, ValueError):  # of a file that contradicts itself; ORT may run it
            return None
    found = next((info for info in infos if info.name == name), None)
    return found if found is not None and found.type.tensor_type.HasField("shape") else None


def _row(name: str, classes: int) -> onnx.ValueInfoProto:
    shape = ["N", classes or None]
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Let what reads the tensor ``old`` read ``new``, in subgraphs too."""
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = new
        for attribute in node.attribute:
            for subgraph in (attribute.g, *attribute.graphs):
                _rename(subgraph, old, new)
    for info in graph.value_info:
        if info.name == old:
            info.name = new


def _names(
    graph: onnx.GraphProto,
    odd: Iterable[onnx.ValueInfoProto],
    made_by: dict[str, onnx.NodeProto],
) -> tuple[str, ...]:
    """Return the names of classes that what makes the ``odd`` outputs holds; or none."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    stored |= {
        node.output[0]: attribute.t
        for node in graph.node
        if node.op_type == "Constant" and node.output
        for attribute in node.attribute
        if attribute.name == "value"
    }
    for value in odd:
        name = value.name
        for _ in range(len(made_by) + 1):
            node = made_by.get(name)
            if node is None or not node.input:
                break
            found = _labels_of(node)
            if node.op_type in ("ArrayFeatureExtractor", "Gather") and node.input[0] in stored:
                found = _strings(stored[node.input[0]])
            if found:
                return _useful(found)
            if node.op_type not in _PASSED | _IN_FRONT:
                break
            name = node.input[0]
    return ()


def _labels_of(node: onnx.NodeProto) -> tuple[str, ...]:
    """Return the names of classes, in the order of their scores, that ``node`` holds."""
    given = {attribute.name: attribute for attribute in node.attribute}
    texts, numbers = "classlabels_strings", "classlabels_int64s"
    if node.op_type == "LabelEncoder":
        keys = given.get("keys_int64s")
        if keys is None or list(keys.ints) != list(range(len(keys.ints))):
            return ()
        texts, numbers = "values_strings", ""
    if texts in given and given[texts].strings:
        return _decoded(given[texts].strings)
    return tuple(map(str, given[numbers].ints)) if numbers in given else ()


def _strings(tensor: onnx.TensorProto) -> tuple[str, ...]:
    return _decoded(tensor.string_data) if tensor.data_type == onnx.TensorProto.STRING else ()


def _decoded(texts: Sequence[bytes]) -> tuple[str, ...]:
    if len(texts) > _MOST_CLASSES or sum(map(len, texts)) > _MOST_LETTERS:
        return ()
    try:
        return tuple(text.decode() for text in texts)
    except UnicodeDecodeError:
        return ()


def _useful(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return ``names``, or none where they only count the classes or one is there twice."""
    counted = names == tuple(map(str, range(len(names))))
    return () if counted or len(set(names)) < len(names) else names
