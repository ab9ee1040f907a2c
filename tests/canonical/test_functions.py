"""Functions that a model defines itself."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from resnet_deploy.canonical.functions import inline_functions
from resnet_deploy.errors import UnsupportedGraphError
from tests.support.graphs import noise, parse, run

TEXT = """
g (float[N,3,8,8] x) => (float[N,4] y) {
  c = Conv(x, w, b)
  r = Relu(c)
  p = GlobalAveragePool(r)
  y = Flatten(p)
}
"""
WEIGHTS = {"w": noise(4, 3, 3, 3), "b": noise(4), "t": noise(4)}


def _with_functions(opset: int = 0) -> onnx.ModelProto:
    """Return the net with its Relu in a function that another one calls; ``t`` is a weight."""
    model: onnx.ModelProto = parse(TEXT, WEIGHTS)
    own = opset or model.opset_import[0].version
    plain = helper.make_opsetid("", own)
    inner = helper.make_function(
        "own", "Inner", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [plain]
    )
    body = [
        helper.make_node("Inner", ["a"], ["t"], domain="own"),
        helper.make_node("Identity", ["t"], ["b"]),
    ]
    imports = [plain, helper.make_opsetid("own", 1)]
    model.functions.extend(
        [inner, helper.make_function("own", "Outer", ["a"], ["b"], body, imports)]
    )
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.ir_version = 8
    relu = next(node for node in model.graph.node if node.op_type == "Relu")
    relu.op_type, relu.domain = "Outer", "own"
    return model


@pytest.mark.parametrize("opset", [0, 16])
def test_functions_become_their_nodes(opset: int) -> None:
    x = noise(2, 3, 8, 8)
    model = _with_functions(opset)
    assert inline_functions(model) == 2
    onnx.checker.check_model(model, full_check=True)
    assert not model.functions
    assert {node.domain for node in model.graph.node} == {""}
    np.testing.assert_array_equal(run(model, x), run(parse(TEXT, WEIGHTS), x))


def test_a_model_without_stays_as_it_is() -> None:
    model = parse(TEXT, WEIGHTS)
    before = model.SerializeToString()
    assert inline_functions(model) == 0
    assert model.SerializeToString() == before


def test_functions_that_would_fill_the_memory_are_refused() -> None:
    model = _with_functions()
    for function in model.functions:
        callee = "Inner" if function.name == "Outer" else "Outer"
        function.node[0].op_type, function.node[0].domain = callee, "own"
    with pytest.raises(UnsupportedGraphError, match="calls itself"):
        inline_functions(model)

    model = _with_functions()
    last = "Inner"
    for level in range(40):
        body = [
            helper.make_node(last, ["a"], ["t"], domain="own"),
            helper.make_node(last, ["t"], ["b"], domain="own"),
        ]
        imports = [helper.make_opsetid("own", 1)]
        last = f"Level{level}"
        model.functions.append(helper.make_function("own", last, ["a"], ["b"], body, imports))
    next(node for node in model.graph.node if node.domain == "own").op_type = last
    with pytest.raises(UnsupportedGraphError, match="stand for 1099511627779"):
        inline_functions(model)
