"""Outputs that are not tensors, and labels beside the scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.errors import ArtifactError, SpecError, UnsupportedGraphError
from resnet_deploy.spec import OutputKind, Told

NAMES = ("cat", "dog", "owl")
IMAGE = np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype(np.float32)
BODY = (
    helper.make_node("Conv", ["x", "w"], ["c"]),
    helper.make_node("GlobalAveragePool", ["c"], ["g"]),
    helper.make_node("Flatten", ["g"], ["f"]),
    helper.make_node("Gemm", ["f", "v"], ["y"]),
)
SOFTMAX = helper.make_node("Softmax", ["y"], ["p"])
BEST = helper.make_node("ArgMax", ["p"], ["best"], axis=1, keepdims=0)


def rows(name: str, width: int | None = None, kind: int = TensorProto.FLOAT) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, ["N"] if width is None else ["N", width])


def of_maps(name: str, key: int = TensorProto.STRING) -> ValueInfoProto:
    scores = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    maps = helper.make_map_type_proto(key, scores)
    return helper.make_value_info(name, helper.make_sequence_type_proto(maps))


def saved(
    folder: Path, nodes: Sequence[NodeProto], outputs: Sequence[ValueInfoProto], **names: object
) -> Path:
    """Return a net of three classes with ``nodes`` behind it."""
    random = np.random.default_rng(1)
    weights = {
        "w": random.standard_normal((5, 3, 1, 1)).astype(np.float32),
        "v": random.standard_normal((5, 3)).astype(np.float32),
        **{name: np.array(value, object) for name, value in names.items()},
    }
    graph = helper.make_graph(
        [*BODY, *nodes],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 4, 4])],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    domains = [helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 2)]
    path = folder / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=domains, ir_version=8), path)
    return path


def zip_map(**labels: Any) -> NodeProto:
    return helper.make_node("ZipMap", ["p"], ["loss"], domain="ai.onnx.ml", **labels)


def answers(path: Path) -> list[np.ndarray]:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(None, {"x": IMAGE})
    return found


def test_the_scores_in_front_of_a_zip_map_are_the_answer(tmp_path: Path) -> None:
    label = helper.make_node(
        "ArrayFeatureExtractor", ["labels", "best"], ["label"], domain="ai.onnx.ml"
    )
    path = saved(
        tmp_path,
        [SOFTMAX, BEST, label, zip_map(classlabels_strings=NAMES)],
        [rows("label", kind=TensorProto.STRING), of_maps("loss")],
        labels=NAMES,
    )
    artifact = load(path)
    assert [str(output) for output in artifact.outputs] == ["loss (N, 3) float32"]
    assert artifact.names == NAMES
    assert artifact.output_kind is OutputKind.SOFTMAX
    assert artifact.path == path, "messages name the user's file"
    assert artifact.plain != path
    maps = answers(path)[1]
    by_name = [[scores[name] for name in NAMES] for scores in maps]
    np.testing.assert_array_equal(answers(artifact.plain)[0], np.array(by_name, np.float32))


def test_numbers_that_only_count_are_no_names(tmp_path: Path) -> None:
    counted = zip_map(classlabels_int64s=[0, 1, 2])
    path = saved(tmp_path, [SOFTMAX, counted], [of_maps("loss", TensorProto.INT64)])
    assert load(path).names == ()
    years = zip_map(classlabels_int64s=[3, 5, 7])
    path = saved(tmp_path, [SOFTMAX, years], [of_maps("loss", TensorProto.INT64)])
    assert load(path).names == ("3", "5", "7")


def test_names_of_a_label_are_those_of_the_scores_beside_it(tmp_path: Path) -> None:
    encoder = helper.make_node(
        "LabelEncoder",
        ["best"],
        ["label"],
        domain="ai.onnx.ml",
        keys_int64s=[0, 1, 2],
        values_strings=NAMES,
    )
    outputs = [rows("label", kind=TensorProto.STRING), rows("p", 3)]
    artifact = load(saved(tmp_path, [SOFTMAX, BEST, encoder], outputs))
    assert (artifact.output.name, artifact.names) == ("p", NAMES)


def test_a_sequence_of_one_tensor_is_that_tensor(tmp_path: Path) -> None:
    node = helper.make_node("SequenceConstruct", ["y"], ["all"])
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    path = saved(tmp_path, [node], [helper.make_value_info("all", kind)])
    artifact = load(path)
    assert (artifact.output.name, artifact.values) == ("all", 3)
    np.testing.assert_array_equal(answers(artifact.plain)[0], answers(path)[0][0])


def test_a_label_alone_is_refused(tmp_path: Path) -> None:
    label = helper.make_node(
        "ArrayFeatureExtractor", ["labels", "best"], ["label"], domain="ai.onnx.ml"
    )
    outputs = [rows("label", kind=TensorProto.STRING)]
    path = saved(tmp_path, [SOFTMAX, BEST, label], outputs, labels=NAMES)
    with pytest.raises(UnsupportedGraphError, match=r"label \(strings\)"):
        read_model(path)


L2 = helper.make_node("LpNormalization", ["f"], ["l2"], axis=1)
OTHER = helper.make_node("Gemm", ["f", "v"], ["z"])
AUX = helper.make_node("MatMul", ["a", "v"], ["aux_logits"])
POOLED = (helper.make_node("ReduceMean", ["c"], ["a"], axes=[2, 3], keepdims=0),)
TOP = (helper.make_node("TopK", ["y", "k"], ["values", "places"]),)


@pytest.mark.parametrize(
    ("nodes", "outputs", "taken", "assumed"),
    [
        ([SOFTMAX, BEST], [rows("best", kind=TensorProto.INT64), rows("p", 3)], "p", False),
        ([SOFTMAX], [rows("y", 3), rows("p", 3)], "p", False),
        ([], [rows("f", 5), rows("y", 3)], "y", False),
        ([L2], [rows("l2", 5), rows("y", 3)], "y", False),
        ([*POOLED, AUX], [rows("aux_logits", 3), rows("y", 3)], "y", False),
        ([OTHER], [rows("z", 3), rows("y", 3)], "z", True),
        ([OTHER, SOFTMAX], [rows("z", 3), rows("p", 3)], "p", False),
    ],
    ids=["ArgMax", "logits", "features", "norm", "auxiliary", "two heads", "boxes"],
)
def test_the_output_that_counts_classes_is_taken(
    tmp_path: Path,
    nodes: Sequence[NodeProto],
    outputs: Sequence[ValueInfoProto],
    taken: str,
    assumed: bool,
) -> None:
    path = saved(tmp_path, nodes, outputs)
    artifact = load(path)
    assert [output.name for output in artifact.outputs] == [taken]
    assert ("assumed" in artifact.taken) == assumed
    assert "--output-name" in artifact.taken
    names = [value.name for value in outputs]
    np.testing.assert_array_equal(answers(artifact.plain)[0], answers(path)[names.index(taken)])
    other = next(name for name in names if name != taken)
    told = load(path, Told(output_name=other))
    assert [output.name for output in told.outputs] == [other]
    assert told.taken == ""


def test_maps_and_the_two_of_a_top_k_stay_together(tmp_path: Path) -> None:
    maps = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 5, 4, 4])
        for name in ("c", "r")
    ]
    relu = helper.make_node("Relu", ["c"], ["r"])
    artifact = load(saved(tmp_path, [relu], maps))
    assert (len(artifact.outputs), artifact.plain) == (2, artifact.path)
    path = saved(tmp_path, [], [rows("y", 3)])
    model = onnx.load(path)
    model.graph.node.extend(TOP)
    model.graph.initializer.append(numpy_helper.from_array(np.array([2]), "k"))
    del model.graph.output[:]
    model.graph.output.extend([rows("values", 2), rows("places", 2, TensorProto.INT64)])
    onnx.save(model, path)
    assert load(path).output_kind is OutputKind.TOP_K


def test_an_unknown_output_lists_those_that_there_are(tmp_path: Path) -> None:
    path = saved(tmp_path, [SOFTMAX], [rows("y", 3), rows("p", 3)])
    for name in ("nothing", "f"):
        with pytest.raises(SpecError, match=f"no output '{name}': --output-name takes y, p"):
            load(path, Told(output_name=name))


def test_a_second_input_is_named_unless_only_other_outputs_need_it(tmp_path: Path) -> None:
    path = saved(tmp_path, [], [rows("y", 3)])
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("is_training", TensorProto.BOOL, []))
    model.graph.node.append(helper.make_node("Identity", ["is_training"], ["echo"]))
    model.graph.output.append(helper.make_tensor_value_info("echo", TensorProto.BOOL, []))
    onnx.save(model, path)
    assert load(path).input.name == "x"
    model.graph.node[-1].CopyFrom(helper.make_node("Where", ["is_training", "y", "y"], ["z"]))
    del model.graph.output[:]
    model.graph.output.append(rows("z", 3))
    onnx.save(model, path)
    with pytest.raises(ArtifactError, match=r"2 inputs .* is_training \(\) bool"):
        load(path)


def test_sigmoids_over_their_sum_are_probabilities(tmp_path: Path) -> None:
    sigmoid = helper.make_node("Sigmoid", ["y"], ["s"])
    shares = helper.make_node("Normalizer", ["s"], ["p"], domain="ai.onnx.ml", norm="L1")
    artifact = load(saved(tmp_path, [sigmoid, shares], [rows("p", 3)]))
    assert artifact.output_kind is OutputKind.SOFTMAX


def test_a_copy_computes_in_the_precision_of_the_file(tmp_path: Path) -> None:
    path = saved(tmp_path, [SOFTMAX, BEST], [rows("best", kind=TensorProto.INT64), rows("p", 3)])
    model = onnx.load(path)
    for value in (model.graph.input[0], model.graph.output[1]):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    for tensor in model.graph.initializer:
        halves = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(halves, tensor.name))
    onnx.save(model, path)
    artifact = load(path)
    assert artifact.plain != path
    assert artifact.precision == "fp16"
    feed = {"x": IMAGE.astype(np.float16)}
    copied = ort.InferenceSession(str(artifact.plain), providers=["CPUExecutionProvider"])
    whole = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(copied.run(None, feed)[0], whole.run(None, feed)[1])
