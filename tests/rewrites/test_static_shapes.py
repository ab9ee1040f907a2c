from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from resnet_deploy.artifact.onnx_file import Artifact, describe
from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.rewrites.resize_front import resize_front
from resnet_deploy.rewrites.static_shapes import with_shapes
from resnet_deploy.spec import InputFormat
from tests.support.contracts import square
from tests.support.graphs import noise, parse

NET = """
g (float[N,3,8,6] x) => (float[N,5] y) {
  c = Conv<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x, w)
  p = GlobalAveragePool(c)
  y = Flatten(p)
}
"""


def net() -> Any:
    return parse(NET, {"w": noise(5, 3, 3, 3)})


def described(model: onnx.ModelProto, folder: Path) -> Artifact:
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return describe(model, path)


def shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    return {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values
    }


def test_every_tensor_has_the_shape_of_one_image(tmp_path: Path) -> None:
    model = net()
    before = model.SerializeToString()

    fixed = with_shapes(model, described(model, tmp_path))

    assert shapes(fixed) == {
        "x": [1, 3, 8, 6],
        "c": [1, 5, 4, 3],
        "p": [1, 5, 1, 1],
        "y": [1, 5],
    }
    assert model.SerializeToString() == before


def test_what_was_written_for_another_batch_does_not_stand_against_it(tmp_path: Path) -> None:
    model = net()
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 16
    assert shapes(with_shapes(model, described(model, tmp_path)))["c"] == [1, 5, 4, 3]


def test_an_input_that_is_also_an_initializer_is_no_image(tmp_path: Path) -> None:
    """Old exporters list weights among the inputs, before the image if they like."""
    model = net()
    weight = onnx.helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [5, 3, 3, 3])
    model.graph.input.insert(0, weight)
    fixed = with_shapes(model, described(model, tmp_path))
    assert shapes(fixed)["x"] == [1, 3, 8, 6]
    assert shapes(fixed)["w"] == [5, 3, 3, 3]


def test_what_resizes_pictures_is_left_out(tmp_path: Path) -> None:
    text = """
    g (uint8[N,32,32,3] x) => (float[N,3,32,32] y) {
      f = Cast<to=1>(x)
      y = Transpose<perm=[0,3,1,2]>(f)
    }
    """
    preprocess = replace(square(32, 40), format=InputFormat.UINT8_NHWC)
    plain = parse(text, {"unused": np.zeros(1, np.float32)}, opset=18)
    model = resize_front(plain, preprocess)

    fixed = with_shapes(model, described(plain, tmp_path))

    assert [node.op_type for node in fixed.graph.node] == ["Cast", "Transpose"]
    assert shapes(fixed)["y"] == [1, 3, 32, 32]


def test_a_node_without_its_input_is_one_line(tmp_path: Path) -> None:
    model = net()
    del model.graph.node[2].input[:]
    with pytest.raises(UnsupportedGraphError, match=r"net\.onnx: the shapes of its") as caught:
        with_shapes(model, described(model, tmp_path))
    assert "\n" not in str(caught.value)
