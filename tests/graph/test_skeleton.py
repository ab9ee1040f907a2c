import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from resnet_deploy.graph.skeleton import check_model, infer_shapes

LARGE = (128, 64, 3, 3)


def model(weight: TensorProto) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"]), helper.make_node("Relu", ["y"], ["z"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", 64, 8, 8))],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ("N", 128, "h", "w"))],
        [weight],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def weight() -> TensorProto:
    return onnx.numpy_helper.from_array(np.ones(LARGE, np.float32), "w")


def test_what_is_valid_passes_and_stays_as_it_is() -> None:
    given = model(weight())
    before = given.SerializeToString(deterministic=True)
    check_model(given)
    assert given.SerializeToString(deterministic=True) == before


def test_a_large_tensor_must_have_all_its_bytes() -> None:
    damaged = weight()
    damaged.raw_data = damaged.raw_data[:-4]
    with pytest.raises(onnx.checker.ValidationError, match="w"):
        check_model(model(damaged))
    damaged.ClearField("raw_data")
    with pytest.raises(onnx.checker.ValidationError, match="w"):
        check_model(model(damaged))


def test_what_the_graph_gets_wrong_is_seen_behind_large_tensors() -> None:
    wrong = model(weight())
    wrong.graph.node[1].input[0] = "nowhere"
    with pytest.raises(onnx.checker.ValidationError, match="nowhere"):
        check_model(wrong)


def test_shapes_are_those_of_onnx_itself() -> None:
    given = model(weight())
    expected = onnx.shape_inference.infer_shapes(given)
    infer_shapes(given)
    assert given.SerializeToString(deterministic=True) == expected.SerializeToString(
        deterministic=True
    )
    assert given.graph.value_info[0].type.tensor_type.shape.dim[1].dim_value == LARGE[0]
