"""Initializers that an old file lists among its inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from resnet_deploy.artifact.model_file import read_file, read_model
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.canonical.inputs import unlist_initializers


def _model(order: tuple[str, ...]) -> onnx.ModelProto:
    shapes: dict[str, list[str | int | None]] = {"x": ["N", 3, 8, 8], "w": [4, 3, 3, 3]}
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shapes[n]) for n in order]
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4, 6, 6])
    weight = numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")
    graph = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["y"])], "g", values, [out])
    graph.initializer.append(weight)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 8)], ir_version=3)


@pytest.mark.parametrize("order", [("x", "w"), ("w", "x")])
def test_the_image_is_the_only_input_left(order: tuple[str, ...]) -> None:
    model = _model(order)
    assert unlist_initializers(model) == 1
    assert [value.name for value in model.graph.input] == ["x"]
    assert model.ir_version == 4, "up to 3 it would not be valid"
    onnx.checker.check_model(model)


def test_a_file_that_is_fine_stays_as_it_is() -> None:
    model = _model(("x",))
    model.ir_version = 8
    before = model.SerializeToString()
    assert unlist_initializers(model) == 0
    assert model.SerializeToString() == before


def test_a_file_of_ir_3_need_not_list_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "unlisted.onnx"
    onnx.save(_model(("x",)), path)
    assert read_model(path).ir_version >= 4, "ONNX Runtime runs such a file"


@pytest.mark.parametrize(("opset", "runs"), [(6, False), (8, True)])
def test_what_onnxruntime_has_no_kernels_for_runs_as_a_copy(
    opset: int, runs: bool, tmp_path: Path
) -> None:
    model = _model(("x", "w"))
    model.opset_import[0].version = opset
    path = tmp_path / "old.onnx"
    onnx.save(model, path)
    assert read_file(path).as_it_was is runs
    assert (load(path).plain == path) is runs
