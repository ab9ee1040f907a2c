"""What the interpreter computes, against ONNX Runtime.

Long because every operator has its case.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.interpreter.module import module_from_onnx
from resnet_deploy.runners.ort_runner import open_session
from resnet_deploy.spec import Optimization, SessionSpec
from tests.support.runner_graphs import cnn, graph, quantized_cnn, random

PLAIN = SessionSpec(threads=1, optimization=Optimization.OFF)


def assert_same(model: onnx.ModelProto, x: np.ndarray) -> None:
    """PyTorch gives what ONNX Runtime gives, and leaves its input as it was."""
    expected = open_session(model.SerializeToString(), PLAIN).run(None, {"x": x})[0]
    given_x = torch.from_numpy(x.copy())
    with torch.inference_mode():
        found = module_from_onnx(model)(given_x)[0].numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(given_x.numpy(), x)


def single(op: str, *inputs: str, **attributes: Any) -> list[onnx.NodeProto]:
    return [helper.make_node(op, ["x", *inputs], ["y"], **attributes)]


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


CASES: dict[str, tuple[list[onnx.NodeProto], dict[str, Any], int]] = {
    "relu": (single("Relu"), {}, 20),
    "clip": (single("Clip", "lo", "hi"), {"lo": np.float32(0), "hi": np.float32(0.5)}, 20),
    "clip-high-only": (single("Clip", "", "hi"), {"hi": np.float32(0.5)}, 20),
    "clip-opset-6": (single("Clip", min=0.0, max=0.5), {}, 10),
    "prelu": (single("PRelu", "a"), {"a": random(4, 1, 1)}, 20),
    "elu": (single("Elu", alpha=0.7), {}, 20),
    "tanh": (single("Tanh"), {}, 20),
    "erf": (single("Erf"), {}, 20),
    "pow": (
        [helper.make_node("Abs", ["x"], ["a"]), helper.make_node("Pow", ["a", "p"], ["y"])],
        {"p": np.float32(3)},
        20,
    ),
    "square-root": (
        [helper.make_node("Exp", ["x"], ["e"]), helper.make_node("Sqrt", ["e"], ["y"])],
        {},
        20,
    ),
    "reciprocal": (
        [
            helper.make_node("Exp", ["x"], ["e"]),
            helper.make_node("Neg", ["e"], ["n"]),
            helper.make_node("Reciprocal", ["n"], ["y"]),
        ],
        {},
        20,
    ),
    "leaky-relu": (single("LeakyRelu", alpha=0.2), {}, 20),
    "sigmoid": (single("Sigmoid"), {}, 20),
    "hard-sigmoid": (single("HardSigmoid", alpha=0.3, beta=0.4), {}, 20),
    "hard-swish": (single("HardSwish"), {}, 20),
    "lrn": (single("LRN", size=3, alpha=0.2, beta=0.6, bias=1.5), {}, 20),
    "softmax": (single("Softmax", axis=1), {}, 20),
    "softmax-opset-11": (single("Softmax", axis=1), {}, 11),
    "add": (single("Add", "c"), {"c": random(4, 1, 1)}, 20),
    "sub": (single("Sub", "c"), {"c": random(4, 1, 1)}, 20),
    "mul": (single("Mul", "x"), {}, 20),
    "div": (single("Div", "c"), {"c": np.float32(3)}, 20),
    "sum": (single("Sum", "x", "x"), {}, 20),
    "global-average-pool": (single("GlobalAveragePool"), {}, 20),
    "reduce-mean": (single("ReduceMean", "a", keepdims=0), {"a": ints(2, 3)}, 20),
    "reduce-mean-opset-13": (single("ReduceMean", axes=[2, 3], keepdims=1), {}, 13),
    "reduce-sum": (single("ReduceSum", "a", keepdims=0), {"a": ints(1)}, 20),
    "global-max-pool": (single("GlobalMaxPool"), {}, 20),
    "reduce-mean-all": (single("ReduceMean"), {}, 20),
    "flatten": (single("Flatten"), {}, 20),
    "flatten-0": (single("Flatten", axis=0), {}, 20),
    "flatten-2": (single("Flatten", axis=2), {}, 20),
    "flatten-last": (single("Flatten", axis=-1), {}, 20),
    "reshape": (single("Reshape", "s"), {"s": ints(0, -1)}, 20),
    "unsqueeze": (single("Unsqueeze", "a"), {"a": ints(0, -1)}, 20),
    "unsqueeze-opset-11": (single("Unsqueeze", axes=[1]), {}, 11),
    "transpose": (single("Transpose", perm=[0, 2, 3, 1]), {}, 20),
    "transpose-reverse": (single("Transpose"), {}, 20),
    "concat": (single("Concat", "x", axis=1), {}, 20),
    "slice": (
        single("Slice", "s", "e", "a", "t"),
        {"s": ints(1, 0), "e": ints(99, -1), "a": ints(2, 3), "t": ints(2, 1)},
        20,
    ),
    "slice-opset-9": (single("Slice", starts=[0, 1], ends=[3, 5], axes=[1, 2]), {}, 9),
    "pad": (single("Pad", "p", "v"), {"p": ints(0, 1, 2, 0, 0, 3, 0, 1), "v": np.float32(2)}, 20),
    "pad-axes": (single("Pad", "p", "", "a"), {"p": ints(1, 2), "a": ints(1)}, 20),
    "pad-opset-2": (single("Pad", pads=[0, 0, 1, 1, 0, 0, 1, 1], value=1.5), {}, 10),
    "pad-reflect": (single("Pad", "p", mode="reflect"), {"p": ints(0, 2, 1, 0, 0, 0, 3, 1)}, 20),
    "pad-edge": (single("Pad", "p", mode="edge"), {"p": ints(0, 0, 2, 1, 0, 0, 1, 0)}, 20),
    "conv-along-a-line": (
        [
            helper.make_node("Reshape", ["x", "s"], ["r"]),
            helper.make_node(
                "Conv", ["r", "w"], ["y"], pads=[1, 2], strides=[2], dilations=[2], group=2
            ),
        ],
        {"s": ints(0, 0, -1), "w": random(6, 2, 3)},
        20,
    ),
    "conv-along-a-line-same": (
        [
            helper.make_node("Reshape", ["x", "s"], ["r"]),
            helper.make_node("Conv", ["r", "w"], ["y"], auto_pad="SAME_UPPER", strides=[3]),
        ],
        {"s": ints(0, 0, -1), "w": random(2, 4, 4)},
        20,
    ),
    "expand": (single("Expand", "s"), {"s": ints(3, 1, 1, 6, 1)}, 20),
    "expand-computed": (
        [helper.make_node("Shape", ["c"], ["s"]), *single("Expand", "s")],
        {"c": np.zeros((2, 2, 4, 6, 7), np.float32)},
        20,
    ),
    "max": (single("Max", "c", "x"), {"c": random(4, 1, 1)}, 20),
    "min": (single("Min", "c"), {"c": random(4, 1, 1)}, 20),
    "identity": (single("Identity"), {}, 20),
    "dropout": (single("Dropout"), {}, 20),
    "gather": (single("Gather", "i", axis=1), {"i": ints(2, -1, 0)}, 20),
    "gather-one": (single("Gather", "i", axis=2), {"i": np.array(-2, np.int64)}, 20),
    "cast": (single("Cast", to=1), {}, 20),
    "matmul": (single("MatMul", "w"), {"w": random(7, 3)}, 20),
    "matmul-itself": (
        [
            helper.make_node("Transpose", ["x"], ["t"], perm=[0, 1, 3, 2]),
            helper.make_node("MatMul", ["x", "t"], ["y"]),
        ],
        {},
        20,
    ),
    "batch-normalization": (
        single("BatchNormalization", "g", "b", "m", "v", epsilon=1e-3),
        {
            "g": random(4),
            "b": random(4, seed=1),
            "m": random(4, seed=2),
            "v": np.abs(random(4, seed=3)),
        },
        20,
    ),
    "dynamic-reshape": (
        [
            helper.make_node("Shape", ["x"], ["s"]),
            helper.make_node("Gather", ["s", "zero"], ["n"]),
            helper.make_node("Unsqueeze", ["n", "axis"], ["n1"]),
            helper.make_node("Constant", [], ["rest"], value_ints=[-1]),
            helper.make_node("Concat", ["n1", "rest"], ["shape"], axis=0),
            helper.make_node("Reshape", ["x", "shape"], ["y"]),
        ],
        {"zero": np.array(0, np.int64), "axis": ints(0)},
        20,
    ),
    "squeeze": (
        [
            helper.make_node("GlobalAveragePool", ["x"], ["p"]),
            helper.make_node("Squeeze", ["p", "a"], ["y"]),
        ],
        {"a": ints(2, 3)},
        20,
    ),
    "gemm": (
        [
            helper.make_node("Flatten", ["x"], ["f"]),
            helper.make_node("Gemm", ["f", "w", "b"], ["y"], alpha=0.5, beta=2.0),
        ],
        {"w": random(4 * 6 * 7, 3), "b": random(1, 3)},
        20,
    ),
    "relu-of-shared-value": (
        # The second reader of `a` must see it before the ReLU.
        [
            helper.make_node("Add", ["x", "x"], ["a"]),
            helper.make_node("Relu", ["a"], ["r"]),
            helper.make_node("Sub", ["a", "r"], ["y"]),
        ],
        {},
        20,
    ),
    "relu-of-view": (
        [
            helper.make_node("Identity", ["x"], ["i"]),
            helper.make_node("Relu", ["i"], ["r"]),
            helper.make_node("Add", ["x", "r"], ["y"]),
        ],
        {},
        20,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_operator_gives_what_onnxruntime_gives(case):
    nodes, constants, opset = CASES[case]
    assert_same(graph(nodes, [2, 4, 6, 7], constants, opset), random(2, 4, 6, 7, seed=9))


@given(
    groups=st.sampled_from([1, 2, 4]),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilations=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.one_of(
        st.sampled_from(["VALID", "SAME_UPPER", "SAME_LOWER"]),
        st.tuples(*[st.integers(0, 3)] * 4).map(list),
    ),
    bias=st.booleans(),
)
def test_convolutions_of_any_padding(groups, kernel, strides, dilations, padding, bias):
    if isinstance(padding, str) and padding != "VALID":
        dilations = (1, 1)  # ONNX Runtime refuses dilation with auto_pad
    attributes: dict[str, Any] = {"group": groups, "strides": strides, "dilations": dilations}
    attributes["auto_pad" if isinstance(padding, str) else "pads"] = padding
    constants = {"w": random(8, 4 // groups, *kernel), **({"b": random(8)} if bias else {})}
    assert_same(
        graph(single("Conv", *constants, **attributes), [2, 4, 9, 8], constants), random(2, 4, 9, 8)
    )


@given(
    kernel=st.tuples(st.integers(2, 3), st.integers(2, 3)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.one_of(
        st.sampled_from(["VALID", "SAME_UPPER", "SAME_LOWER"]),
        st.tuples(*[st.integers(0, 1)] * 4).map(list),
    ),
    include=st.sampled_from([None, 0, 1]),
)
def test_pools_of_any_padding(kernel, strides, padding, include):
    if isinstance(padding, str) and padding != "VALID":
        strides = (min(strides[0], 2), min(strides[1], 2))  # ONNX Runtime refuses larger ones
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": strides}
    attributes["auto_pad" if isinstance(padding, str) else "pads"] = padding
    op = "MaxPool" if include is None else "AveragePool"
    if include is not None:
        attributes["count_include_pad"] = include
    assert_same(graph(single(op, **attributes), [2, 3, 9, 8]), random(2, 3, 9, 8))


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("size", [7, 8, 9, 10])
def test_ceil_mode(op, size):
    nodes = single(op, kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 0, 0], ceil_mode=1)
    assert_same(graph(nodes, [1, 2, size, size]), random(1, 2, size, size))


def outputs(model: onnx.ModelProto, x: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return what PyTorch gives, having compared it with ONNX Runtime."""
    expected = open_session(model.SerializeToString(), PLAIN).run(None, {"x": x})
    with torch.inference_mode():
        found = tuple(output.numpy() for output in module_from_onnx(model)(torch.from_numpy(x)))
    for value, other in zip(found, expected, strict=True):
        assert value.dtype == other.dtype
        np.testing.assert_allclose(value, other, rtol=1e-5, atol=1e-5)
    return found


def typed_graph(
    nodes: list[onnx.NodeProto], x: np.ndarray, ends: dict[str, int], constants: dict[str, Any]
) -> onnx.ModelProto:
    """Return a model from ``x`` to the tensors in ``ends``, of these ONNX types."""
    model = graph(nodes, x.shape, constants)
    model.graph.input[0].type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(x.dtype)
    del model.graph.output[:]
    model.graph.output.extend(
        helper.make_tensor_value_info(name, kind, None) for name, kind in ends.items()
    )
    return model


def test_several_outputs_of_any_kind():
    # An output that others read, one that is the same as another, the input, and a constant.
    nodes = [
        helper.make_node("Add", ["x", "c"], ["a"]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Identity", ["r"], ["same"]),
        helper.make_node("Mul", ["c", "c"], ["square"]),
    ]
    x = random(2, 3)
    ends = dict.fromkeys(["r", "a", "same", "square"], 1)
    model = typed_graph(nodes, x, ends, {"c": random(3, seed=1) - 1})
    found = outputs(model, x)
    assert found[1].min() < 0  # the ReLU did not overwrite an output


@pytest.mark.parametrize("attributes", [{}, {"largest": 0}, {"axis": 0}, {"axis": -2}])
def test_top_k_takes_the_lower_index_of_equals(attributes):
    x = np.array([[3, 1, 3, 2], [0, 0, 0, 0], [5, 5, 6, 4]], np.float32)
    nodes = [helper.make_node("TopK", ["x", "k"], ["v", "i"], **attributes)]
    outputs(typed_graph(nodes, x, {"v": 1, "i": 7}, {"k": ints(3)}), x)


def test_top_k_whose_values_nobody_reads():
    x = random(2, 9)
    nodes = [helper.make_node("TopK", ["x", "k"], ["unread", "i"])]
    outputs(typed_graph(nodes, x, {"i": 7}, {"k": ints(3)}), x)


def test_bytes_are_moved_about_as_bytes():
    nodes = [
        helper.make_node("Pad", ["x", "p", "v"], ["padded"]),
        helper.make_node("Slice", ["padded", "s", "e", "a"], ["row"]),
        helper.make_node("Min", ["row", "fill"], ["low"]),
        helper.make_node("Max", ["low", "fill"], ["strip"]),
        helper.make_node("Expand", ["strip", "one"], ["wide"]),
        helper.make_node("Concat", ["wide", "padded"], ["c"], axis=1),
        helper.make_node("Transpose", ["c"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["t"], ["f"], to=1),
        helper.make_node("SpaceToDepth", ["f"], ["d"], blocksize=2),
        helper.make_node("Cast", ["d"], ["bytes"], to=2),
    ]
    constants = {
        "p": ints(0, 0, 1, 0, 0, 0, 2, 0),
        "v": np.uint8(200),
        "s": ints(0),
        "e": ints(2),
        "a": ints(1),
        "fill": np.array([1, 128, 255], np.uint8).reshape(1, 1, 1, 3),
        "one": ints(1, 1, 1, 1),
    }
    x = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    found = outputs(typed_graph(nodes, x, {"bytes": 2, "c": 2}, constants), x)
    assert found[0].shape == (2, 12, 3, 4)


def test_an_int8_file_is_emulated(tmp_path: Path):
    model = onnx.load(quantized_cnn(tmp_path / "q.onnx"))
    assert_same(model, random(2, 3, 8, 8) * 3)  # some values saturate


@pytest.mark.parametrize("zero", [np.int8(0), np.int16(0)])
def test_rounding_is_half_to_even_up_to_the_last_code(zero):
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    model = graph(nodes, [1, 6], {"s": np.float32(1), "z": zero})
    (found,) = module_from_onnx(model)(torch.tensor([[0.5, 1.5, 2.5, -0.5, -1.5, 5e4]]))
    assert found.tolist() == [[0, 2, 2, 0, -2, np.iinfo(zero.dtype).max]]


def test_layers_carry_their_torch_paths(tmp_path: Path):
    module = module_from_onnx(onnx.load(cnn(tmp_path / "m.onnx")))
    assert isinstance(module.get_submodule("layer1.0.conv1"), torch.nn.Conv2d)
    assert isinstance(module.get_submodule("fc"), torch.nn.Linear)
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_paths_that_clash_with_each_other_or_with_nn_module():
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="forward"),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("Relu", ["b"], ["c"], name="/relu"),
        helper.make_node("Relu", ["c"], ["y"], name="/"),
    ]
    assert_same(graph(nodes, [1, 2]), random(1, 2))


@pytest.mark.parametrize(
    ("nodes", "named"),
    [
        (single("Asin", name="gelu"), "Asin node 'gelu'"),
        (single("Pad", mode="wrap", pads=[0, 0, 1, 1], name="p"), "wrap"),
        ([helper.make_node("Conv", ["x", "x"], ["y"], name="own")], "'x' is not a constant"),
    ],
)
def test_what_cannot_be_rebuilt_is_named(nodes, named):
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "test",
            [helper.make_tensor_value_info("x", 1, [1, 2])],
            [helper.make_tensor_value_info("y", 1, None)],
        ),
        opset_imports=[helper.make_opsetid("", 10)],
    )
    with pytest.raises(UnsupportedGraphError, match=named) as caught:
        module_from_onnx(model)
    assert "--" not in str(caught.value), "which verb asks is not known here"
