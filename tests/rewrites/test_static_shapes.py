from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.describe import describe
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


COMPUTED_PADS = """
g (float[N,3,8,6] x) => (float[N,9,Y,X] y) {
  known = Constant<value_ints=[0,0,0,0,1,1]>()
  count = Constant<value_ints=[2]>()
  zeros = ConstantOfShape<value = int64[1] {0}>(count)
  pairs = Concat<axis=0>(known, zeros)
  matrix = Constant<value_ints=[-1,2]>()
  table = Reshape(pairs, matrix)
  start = Constant<value_ints=[-1]>()
  end = Constant<value_ints=[-5]>()
  axis = Constant<value_ints=[0]>()
  backwards = Slice(table, start, end, axis, start)
  turned = Transpose<perm=[1,0]>(backwards)
  flat = Constant<value_ints=[-1]>()
  pads = Reshape(turned, flat)
  padded = Pad(x, pads)
  y = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(padded, w)
}
"""


def test_what_is_computed_from_constants_alone_is_known(tmp_path: Path) -> None:
    """So torch's older exporter writes the widths of a Pad."""
    model = parse(COMPUTED_PADS, {"w": noise(9, 5, 3, 3)})
    assert shapes(with_shapes(model, described(model, tmp_path)))["y"] == [1, 9, 8, 6]


def test_what_is_computed_from_the_size_of_the_image_is_known(tmp_path: Path) -> None:
    text = """
    g (float[N,3,H,W] x) => (float[N,4] y) {
      c = Conv<kernel_shape=[3,3], auto_pad="SAME_UPPER", strides=[2,2]>(x, w)
      s = Shape(c)
      zero = Constant<value_int=0>()
      n = Gather(s, zero)
      axis = Constant<value_ints=[0]>()
      row = Unsqueeze(n, axis)
      rest = Constant<value_ints=[-1]>()
      to = Concat<axis=0>(row, rest)
      f = Reshape(c, to)
      y = MatMul(f, head)
    }
    """
    model = parse(text, {"w": noise(2, 3, 3, 3), "head": noise(2 * 112 * 112, 4)})
    found = shapes(with_shapes(model, described(model, tmp_path)))
    assert found["c"] == [1, 2, 112, 112]
    assert found["f"] == [1, 2 * 112 * 112]
    assert found["y"] == [1, 4]


def test_nothing_large_is_computed(tmp_path: Path) -> None:
    text = """
    g (float[N,3,8,6] x) => (float[A,B,C,D] y) {
      huge = Constant<value_ints=[1,100000,100000,100000]>()
      much = ConstantOfShape(huge)
      most = ReduceMax<keepdims=1>(much)
      y = Add(x, most)
    }
    """
    model = parse(text)
    fixed = with_shapes(model, described(model, tmp_path))
    assert "much" not in {tensor.name for tensor in fixed.graph.initializer}
