"""Weights that only depend on constants."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from resnet_deploy.arrays import Array
from resnet_deploy.canonical.constants import fold_constants
from resnet_deploy.errors import ArtifactError
from tests.support.graphs import noise, parse, run

X = noise(2, 3, 5, 5)

WEIGHT = noise(4, 3, 3, 3)

CODES = np.random.default_rng(0).integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


@pytest.mark.parametrize(
    ("behind", "constants"),
    [
        ("w = Reshape(a, b)", {"a": WEIGHT.reshape(4, -1), "b": ints(4, 3, 3, 3)}),
        ("w = Transpose<perm=[3,2,0,1]>(a)", {"a": WEIGHT.transpose(2, 3, 1, 0)}),
        ("v = Unsqueeze(a, b)\n w = Concat<axis=0>(v, v, v, v)", {"a": WEIGHT[0], "b": ints(0)}),
        ("w = Squeeze(a, b)", {"a": WEIGHT[None], "b": ints(0)}),
        ("w = Cast<to=1>(a)", {"a": WEIGHT.astype(np.float64)}),
        ("v = Identity(a)\n w = Identity(v)", {"a": WEIGHT}),
        (
            "w = Slice(a, b, c, d)",
            {"a": noise(9, 3, 3, 3), "b": ints(1), "c": ints(5), "d": ints(0)},
        ),
        ("w = ConstantOfShape<value=float[1] {0.1}>(a)", {"a": ints(4, 3, 3, 3)}),
        ("v = Sqrt(a)\n w = Mul(b, v)", {"a": np.float32(2), "b": WEIGHT}),
        ("w = DequantizeLinear(a, b)", {"a": CODES, "b": np.float32(0.01)}),
        (
            "w = DequantizeLinear<axis=0>(a, b, c)",
            {"a": CODES, "b": np.abs(noise(4)), "c": np.array([0, 3, -5, 1], np.int8)},
        ),
        (
            "w = DequantizeLinear(a, b, c)",
            {
                "a": (CODES.astype(int) + 128).astype(np.uint8),
                "b": np.float32(0.02),
                "c": np.uint8(128),
            },
        ),
        (
            "v = QuantizeLinear(a, b)\n w = DequantizeLinear(v, b)",
            {"a": WEIGHT, "b": np.float32(0.05)},
        ),
    ],
)
def test_a_weight_behind_operators_becomes_an_initializer(
    behind: str, constants: Mapping[str, Array]
) -> None:
    text = f"g (float[N,3,5,5] x) => (float[N,4,3,3] y) {{ {behind}\n y = Conv(x, w) }}"
    model = parse(text, constants)
    expected = run(model, X)

    assert fold_constants(model) > 0

    assert [node.op_type for node in model.graph.node] == ["Conv"]
    (weight,) = model.graph.initializer
    assert weight.data_type == onnx.TensorProto.FLOAT
    np.testing.assert_allclose(run(model, X), expected, rtol=1e-6, atol=1e-6)


def test_a_constant_node_is_an_initializer() -> None:
    model = parse("g (float[N,3,5,5] x) => (float[N,4,3,3] y) { y = Conv(x, w) }", {"w": WEIGHT})
    (stored,) = model.graph.initializer
    node = helper.make_node("Constant", [], ["w"], value=stored)
    model.graph.node.insert(0, node)
    del model.graph.initializer[:]
    assert fold_constants(model) == 1
    np.testing.assert_array_equal(numpy_helper.to_array(model.graph.initializer[0]), WEIGHT)


def test_what_is_quantized_together_with_activations_stays() -> None:
    text = """
    g (float[N,3,5,5] x) => (float[N,4,3,3] y) {
      q = QuantizeLinear(x, s)
      d = DequantizeLinear(q, s)
      w = DequantizeLinear(c, s)
      y = Conv(d, w)
    }
    """
    model = parse(text, {"s": np.float32(0.05), "c": CODES.astype(np.uint8)})
    before = model.SerializeToString()
    assert fold_constants(model) == 0
    assert model.SerializeToString() == before


def test_a_constant_output_stays() -> None:
    text = "g (float[N,3,5,5] x) => (float[N,3,5,5] y, float[2] z) { y = Relu(x) z = Neg(a) }"
    model = parse(text, {"a": noise(2)})
    assert fold_constants(model) == 0


def test_a_node_that_stays_reads_what_was_computed_for_it() -> None:
    """The unknown operator fails; what is in front of it is computed all the same."""
    text = "g (float[N,3] x) => (float[N,3] y) { v = Neg(a) w = Reshape(v, b) y = Add(x, w) }"
    model = parse(text, {"a": noise(3), "b": ints(3)})
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(ints(7), "b"))
    assert fold_constants(model) == 1
    assert [node.op_type for node in model.graph.node] == ["Reshape", "Add"]
    assert {tensor.name for tensor in model.graph.initializer} == {"b", "v"}


@pytest.mark.parametrize(
    ("operator", "constants"),
    [
        ("ConstantOfShape(s)", {"s": ints(30000, 30000)}),
        ("Expand(a, s)", {"a": noise(1, 1), "s": ints(30000, 30000)}),
        ("Tile(a, s)", {"a": noise(1, 1), "s": ints(30000, 30000)}),
        ("Add(a, b)", {"a": noise(30000, 1), "b": noise(1, 30000)}),
        ("Range(a, b, c)", {"a": ints(0)[0], "b": ints(10**12)[0], "c": ints(1)[0]}),
    ],
)
def test_a_constant_that_would_fill_the_memory_is_refused(
    operator: str, constants: Mapping[str, Array]
) -> None:
    text = f"g (float[N,3] x) => (float[N,3] y) {{ w = {operator} y = MatMul(x, w) }}"
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["" : 17]>' + text)
    for name, array in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    with pytest.raises(ArtifactError, match="node 'w' makes constants"):
        fold_constants(model)
