"""Shapes that are computed at run time, with the batch left free."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from resnet_deploy.arrays import Array
from resnet_deploy.canonical.shapes import fold_shapes
from tests.support.graphs import noise, parse, run


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


NUMBERS = {name: ints(value) for name, value in {"i0": 0, "i2": 2, "two": 2, "none": -1}.items()}

CASES = {
    "view": (
        """
        s = Shape(x)
        n = Gather(s, i0)
        t = Concat<axis=0>(n, none)
        y = Reshape(x, t)
        """,
        [0, 96],
    ),
    "shuffle": (
        """
        s = Shape(x)
        n = Gather(s, i0)
        h = Gather(s, i2)
        half = Div(h, two)
        t = Concat<axis=0>(n, two, two, h, none)
        y = Reshape(x, t)
        """,
        [0, 2, 2, 6, 4],
    ),
    "merged with the batch": (
        """
        s = Shape(x)
        n = Gather(s, i0)
        h = Gather(s, i2)
        rows = Mul(n, h)
        t = Concat<axis=0>(rows, none)
        y = Reshape(x, t)
        """,
        [-1, 16],
    ),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[onnx.ModelProto, list[int]]:
    body, target = CASES[request.param]
    header = '<ir_version: 8, opset_import: ["" : 17]>'
    model = onnx.parser.parse_model(f"{header} g (float[N,4,6,4] x) => (float y) {{ {body} }}")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    model.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in NUMBERS.items())
    return onnx.shape_inference.infer_shapes(model), target


def test_a_target_with_the_batch_in_it_is_constant(
    case: tuple[onnx.ModelProto, list[int]],
) -> None:
    model, target = case
    batches = [noise(size, 4, 6, 4) for size in (1, 5)]
    expected = [run(model, x) for x in batches]

    assert fold_shapes(model) > 0

    (reshape,) = model.graph.node
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert constants[reshape.input[1]].tolist() == target
    for x, right in zip(batches, expected, strict=True):
        np.testing.assert_array_equal(run(model, x), right)


def test_an_expand_leaves_the_batch_alone() -> None:
    text = """
    g (float[N,4,6,4] x) => (float[N,4,6,4] y) {
      m = GlobalAveragePool(x)
      s = Shape(x)
      e = Expand(m, s)
      y = Mul(x, e)
    }
    """
    model = parse(text)
    x = noise(3, 4, 6, 4)
    expected = run(model, x)
    assert fold_shapes(model) > 0
    assert [node.op_type for node in model.graph.node] == ["GlobalAveragePool", "Expand", "Mul"]
    assert numpy_helper.to_array(model.graph.initializer[0]).tolist() == [1, 4, 6, 4]
    np.testing.assert_array_equal(run(model, x), expected)


RESIZE = """
g (float[N,4,6,4] x) => (float[N,4,12,6] y) {
  s = Shape(x)
  front = Slice(s, i0, i2)
  sizes = Concat<axis=0>(front, behind)
  y = Resize<mode="linear", coordinate_transformation_mode="half_pixel">(x, , , sizes)
}
"""


def test_a_resize_to_a_size_gets_scales() -> None:
    model = parse(RESIZE, NUMBERS | {"behind": ints(12, 6)})
    x = noise(3, 4, 6, 4)
    expected = run(model, x)

    assert fold_shapes(model) > 0

    (resize,) = model.graph.node
    assert list(resize.input)[1:] == ["", "y.scales"]
    np.testing.assert_array_equal(run(model, x), expected)


def test_a_size_that_depends_on_the_batch_stays() -> None:
    text = """
    g (float[N,4,6,4] x) => (float[N,4,6,4] y) {
      s = Shape(x)
      z = ConstantOfShape(s)
      y = Add(x, z)
    }
    """
    model = parse(text)
    assert fold_shapes(model) == 0
    assert len(model.graph.node) == 3


def test_all_is_known_where_the_batch_is_fixed() -> None:
    text = """
    g (float[2,4,6,4] x) => (float[2,4,6,4] y) {
      s = Shape(x)
      z = ConstantOfShape(s)
      y = Add(x, z)
    }
    """
    model = parse(text)
    x = noise(2, 4, 6, 4)
    expected = run(model, x)
    assert fold_shapes(model) == 2
    assert [node.op_type for node in model.graph.node] == ["Add"]
    np.testing.assert_array_equal(run(model, x), expected)


def test_a_free_height_stays_free() -> None:
    text = """
    g (float[N,4,H,W] x) => (float[N,M] y) {
      s = Shape(x)
      n = Gather(s, i0)
      t = Concat<axis=0>(n, none)
      y = Reshape(x, t)
    }
    """
    model = parse(text, NUMBERS)
    assert fold_shapes(model) == 0
