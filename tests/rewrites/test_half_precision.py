"""A float16 graph: what is float16, what stays float32 and why, and that it computes the same."""

import numpy as np
import onnx
import pytest

from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.rewrites.half_precision import half_precision, watched
from tests.support.graphs import noise, parse, run

NET = """
g (float[N,3,8,8] x) => (float[N,4] y) {
  a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w, b)
  r = Relu(a)
  c = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(r, v)
  s = Add(c, r)
  p = GlobalAveragePool(s)
  f = Flatten(p)
  y = Gemm(f, u, t)
}
"""


def net(**weights: np.ndarray) -> onnx.ModelProto:
    usual = {
        "w": noise(4, 3, 3, 3),
        "b": noise(4, seed=1),
        "v": noise(4, 4, 3, 3, seed=2) / 6,
        "u": noise(4, 4, seed=3),
        "t": noise(4, seed=4),
    }
    model: onnx.ModelProto = parse(NET, {**usual, **weights})
    return model


def kinds(model: onnx.ModelProto) -> dict[str, int]:
    """The element type of every tensor, as ONNX itself infers it; a mixture is refused."""
    onnx.checker.check_model(model, full_check=True)
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    return {
        **{value.name: value.type.tensor_type.elem_type for value in values},
        **{tensor.name: tensor.data_type for tensor in graph.initializer},
    }


HALF, FLOAT = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT


def test_layers_are_float16_and_sums_and_ends_are_not() -> None:
    model = net()
    made = half_precision(model, {})
    found = kinds(made.model)
    assert {found[name] for name in ("a", "r", "c", "s", "w", "b", "v", "u", "t")} == {HALF}
    assert {found[name] for name in ("x", "p", "f", "y")} == {FLOAT}
    assert (made.layers, made.kept) == (3, {})
    images = noise(2, 3, 8, 8, seed=5)
    right, got = run(model, images), run(made.model, images)
    assert got.dtype == np.float32
    error = np.abs(right - got).max() / np.abs(right).max()
    assert 0 < error < 5e-3


def test_all_that_is_computed_for_a_layer_is_watched() -> None:
    assert watched(net()) == ("a", "r", "c", "s", "p", "f", "y")


@pytest.mark.parametrize(
    ("weights", "largest", "stays", "reason"),
    [
        ({"v": np.full((4, 4, 3, 3), 70000.0, np.float32)}, {}, {"v", "c"}, "weights of 70,000"),
        ({}, {"c": 17000.0}, {"v", "c", "s"}, "values of 17,000"),
        ({}, {"r": float("nan")}, {"r", "c", "v"}, "values of nan"),
        ({}, {"c": 1e-5}, {"v", "c", "s"}, "at most 1.0e-05"),
        ({"v": np.full((4, 4, 3, 3), 1e-5, np.float32)}, {}, {"v", "c"}, "at most 1.0e-05"),
    ],
)
def test_what_float16_can_not_hold_stays_float32(weights, largest, stays, reason) -> None:
    made = half_precision(net(**weights), largest)
    found = kinds(made.model)
    assert {found[name] for name in stays} == {FLOAT}
    assert found["u"] == HALF
    assert any(reason in why for why in made.kept.values())
    images = noise(2, 3, 8, 8, seed=5)
    right, got = run(net(**weights), images), run(made.model, images)
    np.testing.assert_allclose(got, right, atol=5e-3 * np.abs(right).max())


def test_an_output_that_others_read_keeps_its_name_and_type() -> None:
    model = net()
    model.graph.output.append(onnx.helper.make_tensor_value_info("r", FLOAT, ("N", 4, 8, 8)))
    made = half_precision(model, {})
    assert kinds(made.model)["r"] == FLOAT
    got = run(made.model, noise(1, 3, 8, 8))
    assert len(made.model.graph.output) == 2
    assert np.isfinite(got[0] if isinstance(got, list) else got).all()


def test_a_weight_of_both_kinds_of_layers_is_stored_twice() -> None:
    model = parse(
        """
        g (float[N,4] x) => (float[N,4] y) {
          z = Sub(x, b)
          a = MatMul(z, w)
          y = Add(a, b)
        }
        """,
        {"w": noise(4, 4), "b": noise(4, seed=1)},
    )
    made = half_precision(model, {})
    found = kinds(made.model)
    assert (found["z"], found["a"], found["b"], found["b_fp16"]) == (FLOAT, HALF, FLOAT, HALF)


def test_what_has_no_layer_for_it_is_refused() -> None:
    with pytest.raises(UnsupportedGraphError, match=r"no layer .*: values of 99,999"):
        half_precision(net(), dict.fromkeys(("x", "c", "f"), 99999.0))
