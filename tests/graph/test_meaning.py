"""What the end of a graph says about its answers, behind whatever only reshapes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from resnet_deploy.graph.meaning import Meaning, meaning_of
from resnet_deploy.spec import OutputKind
from tests.support.graphs import parse


def meaning(body: str, shape: str = "N, 4", name: str = "y", **weights: Any) -> Meaning:
    """The meaning of a graph that ends in ``body``, which reads x (N, 4)."""
    text = f"net (float[N, 4] x) => (float[{shape}] {name}) {{ {body} }}"
    return meaning_of(parse(text, weights, opset=13).graph)


@pytest.mark.parametrize(
    "body",
    [
        "y = Softmax(x)",
        "p = Softmax(x) y = Identity(p)",
        "p = Softmax(x) h = Cast<to = 10>(p) y = Cast<to = 1>(h)",
        "p = Softmax(x) f = Flatten(p) t = Transpose<perm = [0, 1]>(f) y = Identity(t)",
        "e = Exp(x) s = ReduceSum<keepdims = 1>(e, last) y = Div(e, s)",
        "l = LogSoftmax(x) y = Exp(l)",
        "p = Softmax(x) y = Max(p, last)",
    ],
)
def test_probabilities_are_found_behind_reshapes(body: str) -> None:
    last: dict[str, Any] = {}
    if "last" in body:
        last["last"] = np.array([1], np.float32 if "Max" in body else np.int64)
    assert meaning(body, **last) == Meaning(kind=OutputKind.SOFTMAX, probabilities=True, values=4)


@pytest.mark.parametrize(
    "body",
    [
        "p = Sigmoid(x) y = Identity(p)",
        "n = Neg(x) e = Exp(n) a = Add(e, one) y = Reciprocal(a)",
        "n = Neg(x) e = Exp(n) a = Add(e, one) y = Div(one, a)",
    ],
)
def test_sigmoids_are_found_however_they_are_written(body: str) -> None:
    one: dict[str, Any] = {"one": np.float32(1)} if "one" in body else {}
    assert meaning(body, **one) == Meaning(kind=OutputKind.SIGMOID, probabilities=True, values=4)


@pytest.mark.parametrize(
    "body",
    [
        "y = LpNormalization(x)",
        "n = ReduceL2<axes = [1]>(x) y = Div(x, n)",
        "n = ReduceL2<axes = [1]>(x) c = Clip(n, e) s = Shape(x) b = Expand(c, s) y = Div(x, b)",
        "q = Mul(x, x) s = ReduceSum(q, last) a = Add(s, e) r = Sqrt(a) i = Reciprocal(r) "
        "y = Mul(x, i)",
    ],
)
def test_a_norm_at_the_end_means_an_embedding(body: str) -> None:
    known: dict[str, Any] = {"last": np.array([1]), "e": np.float32(1e-6)}
    used = {name: value for name, value in known.items() if f" {name})" in body}
    assert meaning(body, **used).kind is OutputKind.EMBEDDING


def test_activated_values_are_an_embedding() -> None:
    assert meaning("y = Tanh(x)").kind is OutputKind.EMBEDDING


def test_the_number_of_a_class_is_no_decision() -> None:
    text = "net (float[N, 4] x) => (int64[N, 1] y) { y = ArgMax<axis = 1>(x) }"
    assert meaning_of(parse(text).graph) == Meaning(values=1)


def test_another_norm_does_not() -> None:
    assert meaning("q = Exp(x) n = ReduceL2<axes = [1]>(q) y = Div(x, n)").kind is None


def test_one_value_is_a_decision() -> None:
    assert meaning("y = Gemm(x, w)", "N, 1", w=np.ones((4, 1), np.float32)) == Meaning(
        kind=OutputKind.BINARY, values=1
    )
    found = meaning("g = Gemm(x, w) y = Sigmoid(g)", "N, 1", w=np.ones((4, 1), np.float32))
    assert found == Meaning(kind=OutputKind.BINARY, probabilities=True, values=1)


def test_the_weights_tell_how_many_values_there_are() -> None:
    found = meaning(
        "g = MatMul(x, w) y = Add(g, b)", "N, M", w=np.ones((4, 7), "f"), b=np.ones(7, "f")
    )
    assert found == Meaning(values=7)


def test_nothing_is_said_of_a_last_linear_layer() -> None:
    assert meaning("y = Identity(x)").kind is None
    assert meaning("logits = Identity(x)", name="logits").kind is OutputKind.LOGITS
    assert meaning("y = LogSoftmax(x)").kind is OutputKind.LOGITS
    assert meaning("embedding = Identity(x)", name="embedding").kind is OutputKind.EMBEDDING


def pooled(text: str) -> Meaning:
    return meaning_of(parse(f"net (float[N, 3, 4, 4] x) => (float[N, 3] y) {{ {text} }}").graph)


def test_pooled_features_of_a_residual_sum_are_an_embedding() -> None:
    end = "r = Relu(s) g = GlobalAveragePool(r) y = Flatten(g)"
    assert pooled(f"a = Relu(x) b = Abs(x) s = Add(a, b) {end}").kind is OutputKind.EMBEDDING
    assert pooled(f"s = Abs(x) {end}").kind is None


def test_maps_are_features() -> None:
    text = "net (float[N, 3, 4, 4] x) => (float[N, 3, {}] y) {{ y = Relu(x) }}"
    for pixels in ("4, 4", "H, W"):
        found = meaning_of(parse(text.format(pixels)).graph)
        assert found.kind is OutputKind.FEATURES


@pytest.mark.parametrize(
    ("body", "width", "usual"),
    [
        ("y = Gemm (r, w)", 512, OutputKind.EMBEDDING),
        ("y = Gemm (r, w)", 1000, OutputKind.LOGITS),
        ("y = Gemm (r, w)", 64, OutputKind.LOGITS),
        ("g = Gemm (r, w) y = BatchNormalization (g, a, a, a, a)", 64, OutputKind.EMBEDDING),
        ("g = Gemm (r, w) y = BatchNormalization (g, a, a, a, a)", 10, OutputKind.LOGITS),
    ],
)
def test_a_width_that_embeddings_have_is_taken_for_one(
    body: str, width: int, usual: OutputKind
) -> None:
    weights: dict[str, Any] = {
        "w": np.zeros((4, width), np.float32),
        "a": np.ones(width, np.float32),
    }
    found = meaning(f"p = GlobalAveragePool (x) r = Flatten (p) {body}", f"N, {width}", **weights)
    assert found.kind is None
    assert found.usual is usual


@pytest.mark.parametrize(
    ("operator", "kind"),
    [("QLinearSoftmax", OutputKind.SOFTMAX), ("QLinearSigmoid", OutputKind.SIGMOID)],
)
def test_quantized_operators_give_probabilities_too(operator: str, kind: OutputKind) -> None:
    model = parse("net (float[N, 3, 1, 1] x) => (float[N, 3] y) { q = Flatten(x) y = Relu(q) }")
    model.graph.node[1].op_type = operator
    found = meaning_of(model.graph)
    assert (found.kind, found.probabilities) == (kind, True)
