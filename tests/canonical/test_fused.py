"""Operators that ONNX Runtime fused, beside what it computes with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper

from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.canonical.fused import unfuse
from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.rewrites.opset import set_opset

IMAGE = np.random.default_rng(0).standard_normal((1, 8, 6, 6)).astype(np.float32)


def model_of(body: str, opset: int = 17) -> onnx.ModelProto:
    """Return a graph of ``x`` with weights ``w``, ``b``, ``v`` and ``a``."""
    text = f'<ir_version: 8, opset_import: ["" : {opset}, "com.microsoft" : 1]>'
    model = onnx.parser.parse_model(f"{text} g (float[1,8,6,6] x) => (float y) {{ {body} }}")
    random = np.random.default_rng(1)
    for name, shape in (("w", (8, 8, 3, 3)), ("b", (8,)), ("v", (8, 5)), ("a", (5,)), ("s", (6,))):
        values = random.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    return model


def answer(model: onnx.ModelProto) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, {"x": IMAGE})[0]
    return found


CONV = "com.microsoft.FusedConv <pads = [1, 1, 1, 1], kernel_shape = [3, 3], activation = "
ROW = "f = GlobalAveragePool (x) r = Flatten (f)"
BODIES = {
    "Relu": f'y = {CONV}"Relu"> (x, w, b)',
    "no bias": f'y = {CONV}"Relu"> (x, w)',
    "Clip": f'y = {CONV}"Clip", activation_params = [0.0, 0.7]> (x, w, b)',
    "LeakyRelu": f'y = {CONV}"LeakyRelu", activation_params = [0.3]> (x, w, b)',
    "HardSigmoid": f'y = {CONV}"HardSigmoid", activation_params = [0.2, 0.5]> (x, w, b)',
    "sum": f'y = {CONV}"Relu"> (x, w, b, x)',
    "Gemm": f'{ROW} y = com.microsoft.FusedGemm <activation = "Relu"> (r, v, a)',
    "leaky Gemm": f'{ROW} y = com.microsoft.FusedGemm <activation = "LeakyRelu", '
    "activation_alpha = 0.2> (r, v, a)",
    "Gelu": "y = com.microsoft.Gelu (x)",
    "BiasGelu": "y = com.microsoft.BiasGelu (x, s)",
    "QuickGelu": "y = com.microsoft.QuickGelu (x)",
    "SiLU": "y = com.microsoft.QuickGelu <alpha = 1.0> (x)",
}


@pytest.mark.parametrize("alpha", [1.0, 0.7])
def test_swish_of_opset_24_is_a_gate(alpha: float) -> None:
    model = model_of(f"y = Swish <alpha = {alpha}> (x)", opset=24)
    assert unfuse(model) == 1
    assert "Swish" not in {node.op_type for node in model.graph.node}
    model.opset_import[0].version = 17
    np.testing.assert_allclose(answer(model), IMAGE / (1 + np.exp(-alpha * IMAGE)), rtol=1e-5)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_what_is_taken_apart_computes_the_same(body: str) -> None:
    model = model_of(body)
    before = answer(model)
    assert unfuse(model) == 1
    assert [entry.domain for entry in model.opset_import] == [""]
    np.testing.assert_allclose(answer(model), before, rtol=1e-5, atol=1e-6)
    onnx.checker.check_model(model)


def test_bounds_are_attributes_before_opset_11() -> None:
    model = model_of(BODIES["Clip"], opset=10)
    before = answer(model)
    assert unfuse(model) == 1
    np.testing.assert_allclose(answer(model), before, rtol=1e-5, atol=1e-6)


def test_an_activation_that_is_not_known_stays_fused() -> None:
    model = model_of(f'y = {CONV}"Softplus"> (x, w, b)')
    before = model.SerializeToString()
    unfuse(model)
    assert [node.op_type for node in model.graph.node] == ["FusedConv"]
    assert model.graph.node[0] == onnx.ModelProto.FromString(before).graph.node[0]


@pytest.mark.parametrize(
    ("domain", "kind", "what"),
    [
        ("com.microsoft.nchwc", "Conv", "nchwc Conv.*ORT_ENABLE_BASIC"),
        ("com.microsoft", "NhwcFusedConv", "NhwcFusedConv.*ORT_ENABLE_BASIC"),
        ("ai.onnx.contrib", "DecodeImage", r"onnxruntime-extensions \(DecodeImage\).*tensor"),
    ],
)
def test_what_can_not_be_taken_apart_is_named(
    domain: str, kind: str, what: str, tmp_path: Path
) -> None:
    model = model_of("y = Relu (x)")
    model.graph.node[0].op_type, model.graph.node[0].domain = kind, domain
    model.opset_import.append(helper.make_opsetid(domain, 1))
    path = tmp_path / "net.onnx"
    onnx.save(model, path)
    with pytest.raises(UnsupportedGraphError, match=f"net.onnx: .*{what}"):
        read_model(path)


def test_a_second_domain_survives_another_opset() -> None:
    model = model_of("y = com.microsoft.FastGelu (x)", opset=15)
    before = answer(model)
    raised = set_opset(model, 17)
    assert [(e.domain, e.version) for e in raised.opset_import] == [("", 17), ("com.microsoft", 1)]
    np.testing.assert_array_equal(answer(raised), before)


@pytest.mark.parametrize("kind", ["QLinearConv", "ConvInteger", "DynamicQuantizeLinear"])
def test_int8_in_any_form_is_int8(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(model_of("y = Conv <pads = [1, 1, 1, 1]> (x, w, b)"), path)
    assert load(path).precision == "fp32"
    model = model_of("q, s1, z = DynamicQuantizeLinear (x) y = DequantizeLinear (q, s1, z)")
    if kind != "DynamicQuantizeLinear":
        model.graph.node[0].CopyFrom(helper.make_node(kind, ["x"], ["q"], domain="com.microsoft"))
        model.graph.node[1].CopyFrom(helper.make_node("Relu", ["q"], ["y"]))
    onnx.save(model, path)
    assert load(path).precision == "int8"
