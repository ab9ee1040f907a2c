from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.graph.answer_shape import sized_output
from resnet_deploy.prediction import classify
from resnet_deploy.spec import OutputKind
from tests.support.graphs import parse

LETTERS = """net (float[N, 3, 8, W] x) => (float[A, B, 4] y) {
    rows = ReduceMean<axes = [2], keepdims = 0>(x)
    letters = Transpose<perm = [0, 2, 1]>(rows)
    scores = MatMul(letters, weight)
    y = Softmax<axis = 2>(scores)
}"""
MAP = "net (float[N, 3, H, W] x) => (float[A, 1, B, C] y) { s = Conv(x, w) y = Sigmoid(s) }"
POOLED = """net (float[N, 3, H, W] x) => (float[A, 5, B, C] y) {
    p = GlobalAveragePool(x)
    y = Conv(p, w)
}"""
ONE_BY_ONE = """net (float[1, 1, 8, W] x) => (float[1, T] y) {
    p = MaxPool<kernel_shape = [8, 8], strides = [8, 8]>(x)
    rows = Flatten<axis = 3>(p)
    y = Transpose<perm = [1, 0]>(rows)
}"""


def model_of(text: str, **weights: tuple[int, ...]) -> onnx.ModelProto:
    values = {name: np.full(shape, 0.1, np.float32) for name, shape in weights.items()}
    model: onnx.ModelProto = parse(text, values, opset=13)
    return model


def saved(folder: Path, text: str, **weights: tuple[int, ...]) -> Any:
    onnx.save(model_of(text, **weights), folder / "net.onnx")
    return load(folder / "net.onnx")


@pytest.mark.parametrize(
    ("text", "weights", "kind"),
    [
        (LETTERS, {"weight": (3, 4)}, OutputKind.FEATURES),
        (MAP, {"w": (1, 3, 1, 1)}, OutputKind.FEATURES),
        (POOLED, {"w": (5, 3, 1, 1)}, OutputKind.LOGITS),
    ],
)
def test_open_sizes_are_those_that_pictures_get(
    text: str, weights: Any, kind: OutputKind, tmp_path: Path
) -> None:
    artifact = saved(tmp_path, text, **weights)
    assert artifact.output_kind is kind
    assert artifact.values == (None if kind is OutputKind.FEATURES else 5)


def test_a_row_for_each_letter_is_no_class(tmp_path: Path) -> None:
    artifact = saved(tmp_path, LETTERS, weight=(3, 4))
    Image.new("RGB", (16, 8)).save(tmp_path / "a.png")
    with pytest.raises(UnsupportedGraphError, match=r"gives features, not classes \(y \(N"):
        classify(artifact, [tmp_path / "a.png"])


def test_rows_that_are_not_of_images_are_counted() -> None:
    model = model_of(ONE_BY_ONE)
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "letters"
    output = sized_output(model, (1, 8, 224))
    assert output is not None
    assert [dim.dim_value for dim in output.type.tensor_type.shape.dim] == [1, 28, 1]


def test_sizes_that_contradict_the_graph_tell_nothing() -> None:
    model = model_of(LETTERS, weight=(3, 4))
    model.graph.initializer[0].dims[:] = (4, 3)
    assert sized_output(model, (3, 8, 8)) is None
