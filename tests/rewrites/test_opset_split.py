"""Split, which from opset 18 on says its number of parts, in older operator sets."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from resnet_deploy.errors import ExportError
from resnet_deploy.rewrites.opset import set_opset


def _halves(channels: int) -> onnx.ModelProto:
    """Return a model that splits in two, and takes the mean, which opset 18 changed as well."""
    nodes = [
        helper.make_node("Split", ["x"], ["a", "b"], name="split", axis=1, num_outputs=2),
        helper.make_node("ReduceMean", ["b", "axes"], ["y"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "halves",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, channels, 3])],
        [
            helper.make_tensor_value_info("a", TensorProto.FLOAT, [2, None, 3]),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, None]),
        ],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


@pytest.mark.parametrize("opset", [13, 17])
def test_equal_parts(opset):
    old = set_opset(_halves(6), opset)
    assert [(o.domain, o.version) for o in old.opset_import] == [("", opset)]
    x = np.random.default_rng(0).random((2, 6, 3), np.float32)
    providers = ["CPUExecutionProvider"]
    first, mean = onnxruntime.InferenceSession(old.SerializeToString(), providers=providers).run(
        None, {"x": x}
    )
    assert np.array_equal(first, x[:, :3])
    assert np.allclose(mean, x[:, 3:].mean(2))


def test_parts_of_different_sizes_are_refused():
    with pytest.raises(ExportError, match="the parts of split are of different"):
        set_opset(_halves(5), 17)
