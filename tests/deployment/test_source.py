from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.deployment.source import check_source
from resnet_deploy.errors import RunnerError, UnsupportedGraphError
from resnet_deploy.spec import Told
from tests.support.graphs import parse

LETTERS = """net (float[N, 3, 4, 8] x) => (float[8, N, 3] y) {
    rows = ReduceMean<axes = [2], keepdims = 0>(x)
    y = Transpose<perm = [2, 0, 1]>(rows)
}"""


def test_answers_without_a_row_for_each_image_are_refused_before_calibration(
    tmp_path: Path,
) -> None:
    onnx.save(parse(LETTERS, {"w": np.zeros(1, np.float32)}), tmp_path / "letters.onnx")
    with pytest.raises(RunnerError, match=r"y has shape \[8, 1, 3\] for a batch of 1"):
        check_source(load(tmp_path / "letters.onnx"))


def test_the_number_of_the_best_class_is_no_answer_to_prove(tmp_path: Path) -> None:
    text = """net (float[N, 3, 4, 8] x) => (float[N, 3] y, int64[N] best) {
        y = ReduceMean<axes = [2, 3], keepdims = 0>(x)
        best = ArgMax<axis = 1, keepdims = 0>(y)
    }"""
    path = tmp_path / "two.onnx"
    onnx.save(parse(text, {"w": np.zeros(1, np.float32)}), path)
    with pytest.raises(UnsupportedGraphError, match=r"gives best \(N\) int64.*--output-name"):
        check_source(load(path, Told(output_name="best")))
    check_source(load(path))
