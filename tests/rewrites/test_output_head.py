from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from resnet_deploy.rewrites.opset import set_opset
from resnet_deploy.rewrites.output_head import output_head
from resnet_deploy.runners.ort_runner import open_session
from resnet_deploy.spec import OutputSpec, SessionSpec
from tests.support.graphs import noise, parse, to_ir

TEXT = "net (float[N, 4] x, float[4, 6] w) => (float[N, 6] logits) { logits = MatMul(x, w) }"


def outputs(model: onnx.ModelProto, x: np.ndarray) -> dict[str, np.ndarray]:
    session = open_session(model.SerializeToString(), SessionSpec(threads=1))
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"x": x, "w": noise(4, 6)}), strict=True))


@pytest.mark.parametrize("opset", [13, 17, 22])
def test_softmax_and_top_k(opset: int) -> None:
    x = noise(3, 4, seed=1)
    logits = outputs(parse(TEXT), x)["logits"]
    right = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    softmax = to_ir(parse(TEXT))
    assert output_head(softmax, OutputSpec.parse("softmax")) == 1
    found = outputs(set_opset(ir.to_proto(softmax), opset), x)
    assert list(found) == ["probabilities"]
    np.testing.assert_allclose(found["probabilities"], right, rtol=1e-6)

    top = to_ir(parse(TEXT))
    assert output_head(top, OutputSpec.parse("top-2")) == 2
    proto = set_opset(ir.to_proto(top), opset)
    found = outputs(proto, x)
    assert list(found) == ["probabilities", "classes"]
    best = np.argsort(-right, axis=1)[:, :2]
    np.testing.assert_array_equal(found["classes"], best)
    assert found["classes"].dtype == np.int64
    np.testing.assert_allclose(
        found["probabilities"], np.take_along_axis(right, best, 1), rtol=1e-6
    )
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(proto, strict_mode=True))
    dims = [output.type.tensor_type.shape.dim for output in proto.graph.output]
    assert [(shape[0].dim_param, shape[1].dim_value) for shape in dims] == [("N", 2)] * 2


@pytest.mark.parametrize("name", ["logits", "embedding", "features"])
def test_others_need_no_head(name: str) -> None:
    model = to_ir(parse(TEXT))
    assert output_head(model, OutputSpec.parse(name)) == 0
    assert [output.name for output in model.graph.outputs] == ["logits"]
