from __future__ import annotations

from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.errors import RunnerError, UnsupportedGraphError
from resnet_deploy.runners.base import infer_any
from resnet_deploy.runners.classes import class_scores, listed_classes
from resnet_deploy.runners.compare import output_differences, same_class, side_by_side
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import SessionSpec
from tests.support.graphs import parse

TOP_2 = """net (float[N, 3, 2, 2] x) => (float[N, 2] p, int64[N, 2] c) {
    k = Constant<value = int64[1] {2}>()
    flat = Flatten(x)
    s = Softmax(flat)
    p, c = TopK(s, k)
}"""


class Fixed:
    """A runner that gives the same outputs whatever it sees."""

    input = SimpleNamespace(shape=(None, 3, 2, 2))

    def __init__(self, *outputs: Any) -> None:
        self._outputs = tuple(map(np.asarray, outputs))

    def infer_all(self, batch: Any) -> Any:
        return self._outputs


@pytest.fixture
def top_2(tmp_path: Path) -> Any:
    onnx.save(parse(TOP_2), tmp_path / "top.onnx")
    return load(tmp_path / "top.onnx")


def with_classes(artifact: Any, count: int) -> Any:
    card = SimpleNamespace(model=SimpleNamespace(num_classes=count))
    return SimpleNamespace(**{**vars(artifact), "card": card})


def test_classes_that_are_not_named_have_nothing(top_2: Any) -> None:
    runner: Any = Fixed([[0.7, 0.0]], [[4, 1]])
    scores = class_scores(with_classes(top_2, 6), runner, np.zeros(1))
    assert listed_classes(top_2) == 2
    assert scores.shape == (1, 6)
    assert np.argsort(-scores[0], kind="stable")[:3].tolist() == [4, 1, 0]
    assert scores[0, [0, 2, 3, 5]].tolist() == [0.0] * 4


def test_foreign_top_k_files_do_not_say_how_many_classes(top_2: Any) -> None:
    runner: Any = Fixed([[0.7, 0.1]], [[4, 1]])
    with pytest.raises(UnsupportedGraphError, match="no card with the number of classes"):
        class_scores(top_2, runner, np.zeros(1))
    with pytest.raises(RunnerError, match="names class 4 of 3"):
        class_scores(with_classes(top_2, 3), runner, np.zeros(1))


def test_either_class_of_a_tie_is_right(top_2: Any) -> None:
    expected = [np.array([[0.4, 0.399999]] * 4 + [[0.4, 0.3]]), np.array([[1, 2]] * 5)]
    got = [np.zeros((5, 2)), np.array([[1, 2], [2, 1], [3, 1], [1, 3], [2, 1]])]
    assert same_class(top_2, expected, got) == (True, True, False, True, False)
    assert [output.name for output in output_differences(top_2, expected, got)] == ["p"]


def test_numbers_side_by_side() -> None:
    maps = np.ones((2, 3, 4, 4)), np.zeros((2, 5)), np.ones((2, 7), np.int64)
    assert side_by_side(maps).shape == (2, 53)
    assert side_by_side(maps[:1]) is maps[0]


def plain(folder: Path) -> Any:
    text = "net (float[N, 3, 2, 2] x) => (float[N, A] y) { y = Flatten(x) }"
    onnx.save(parse(text), folder / "plain.onnx")
    return load(folder / "plain.onnx")


def test_maps_that_a_file_did_not_declare_are_no_classes(tmp_path: Path) -> None:
    runner: Any = Fixed(np.zeros((1, 26, 1, 40)))
    with pytest.raises(UnsupportedGraphError, match="26 x 1 x 40 values per image"):
        class_scores(plain(tmp_path), runner, np.zeros((1, 3, 2, 2)))
    runner = Fixed(np.arange(5.0).reshape(1, 5, 1, 1))
    assert class_scores(plain(tmp_path), runner, np.zeros(1)).tolist() == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize("tail", ["Squeeze(f)", "Transpose<perm = [1, 0]>(f)"])
@pytest.mark.parametrize("batch", ["1", "N"])
def test_an_output_without_a_row_for_each_image_is_refused(
    tail: str, batch: str, tmp_path: Path
) -> None:
    """A row of values must not be taken for as many images."""
    shape = "M" if "Squeeze" in tail else "12, M"
    text = f"""net (float[{batch}, 3, 2, 2] x) => (float[{shape}] y) {{
        f = Flatten(x)
        y = {tail}
    }}"""
    onnx.save(parse(text), tmp_path / "flat.onnx")
    images = np.zeros((1, 3, 2, 2), np.float32)
    refused = pytest.raises(RunnerError, match="for a batch of 1: export the model with")
    with closing(OrtRunner(tmp_path / "flat.onnx", SessionSpec(threads=1))) as runner, refused:
        infer_any(runner, images)
