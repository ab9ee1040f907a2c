import numpy as np
import onnx
import pytest

import resnet_deploy.simplify as module
from resnet_deploy.graph.module_names import MODULE_KEY
from resnet_deploy.simplify import simplify
from tests.support.graphs import noise, parse, run

REDUNDANT = """
g (float[N,3,4,4] x) => (float[N,3,4,4] y) {
  a = Identity(x)
  c = Conv<kernel_shape=[1,1]>(a, w)
  d = Identity(c)
  y = Relu(d)
}
"""


def redundant() -> onnx.ModelProto:
    model: onnx.ModelProto = parse(REDUNDANT, {"w": noise(3, 3, 1, 1)})
    for number, node in enumerate(model.graph.node):
        node.name = f"layer{number}"
        node.metadata_props.add(key=MODULE_KEY, value=node.name)
    return model


def child(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    # A child that breaks in every way; callers have no say in what it runs, or for how long.
    monkeypatch.setattr(module, "_CHILD", code)


def test_superfluous_nodes_go_and_modules_stay() -> None:
    model = redundant()
    simplified, outcome = simplify(model)

    assert outcome == "onnxsim removed 2 nodes"
    assert [node.op_type for node in simplified.graph.node] == ["Conv", "Relu"]
    modules = [entry.value for node in simplified.graph.node for entry in node.metadata_props]
    assert modules == ["layer1", "layer3"]
    assert not simplified.metadata_props
    x = noise(2, 3, 4, 4)
    np.testing.assert_allclose(run(simplified, x), run(model, x), atol=1e-6)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os.abort()", "it crashed"),
        ("raise ValueError('no such thing')", "it failed (ValueError: no such thing)"),
        ("import sys; open(sys.argv[2], 'wb').write(b'\\xff')", "it wrote no model"),
        ("", "it wrote no model"),
        ("import time; time.sleep(60)", "it took more than"),
    ],
    ids=["crash", "exception", "garbage", "nothing", "hangs"],
)
def test_a_broken_simplifier_does_no_harm(
    monkeypatch: pytest.MonkeyPatch, code: str, reason: str
) -> None:
    child(monkeypatch, code)
    monkeypatch.setattr(module, "_TIMEOUT_SECONDS", 1 if "sleep" in code else 60)
    model = redundant()
    same, outcome = simplify(model)
    assert same is model
    assert reason in outcome


EDIT = """
import sys, numpy as np, onnx
from onnx import numpy_helper
model = onnx.load(sys.argv[1])
{edit}
onnx.save(model, sys.argv[2])
"""


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        ("model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1", "changed an input"),
        (
            "w = model.graph.initializer[0]; "
            "w.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(w) * 1.001, w.name))",
            "it moved the output by 0.001",
        ),
        ("model.graph.node[0].op_type = 'Neg'", "it added Neg"),
        ("model.graph.node[1].input[0] = 'nowhere'", "it is not valid ONNX"),
    ],
    ids=["fixed batch", "other weights", "other operator", "invalid"],
)
def test_a_result_that_is_worse_is_dropped(
    monkeypatch: pytest.MonkeyPatch, edit: str, reason: str
) -> None:
    child(monkeypatch, EDIT.format(edit=edit))
    model = redundant()
    same, outcome = simplify(model)
    assert same is model
    assert reason in outcome
