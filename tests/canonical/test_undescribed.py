"""Outputs that a file only names."""

from __future__ import annotations

import onnx

from resnet_deploy.canonical.undescribed import describe_outputs
from tests.support.graphs import noise, parse

TEXT = """
g (float[N,3,8,8] x) => (float[N,4] y) {
  c = Conv(x, w)
  r = Relu(c)
  p = GlobalAveragePool(r)
  y = Flatten(p)
}
"""
WEIGHTS = {"w": noise(4, 3, 3, 3)}


def test_outputs_get_what_onnx_infers() -> None:
    model = parse(TEXT, WEIGHTS)
    assert describe_outputs(model) == 0
    model.graph.output.append(onnx.ValueInfoProto(name="r"))
    shapeless = onnx.helper.make_tensor_value_info("c", onnx.TensorProto.FLOAT, None)
    model.graph.output.append(shapeless)
    assert describe_outputs(model) == 2
    onnx.checker.check_model(model, full_check=True)
    shapes = [
        [dim.dim_value or dim.dim_param for dim in value.type.tensor_type.shape.dim]
        for value in model.graph.output
    ]
    assert shapes == [["N", 4], ["N", 4, 6, 6], ["N", 4, 6, 6]]


def test_an_output_of_which_nothing_is_known_is_left_out_beside_others() -> None:
    model = parse(TEXT, WEIGHTS)
    node = onnx.helper.make_node("Unknown", ["c"], ["u"], domain="somebody.else")
    model.graph.node.append(node)
    model.graph.output.append(onnx.ValueInfoProto(name="u"))
    assert describe_outputs(model) == 1
    assert [value.name for value in model.graph.output] == ["y"]
