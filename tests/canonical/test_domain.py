"""The default domain by its long name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.canonical.domain import name_default_domain
from tests.support.graphs import noise, parse, run

TEXT = """
g (float[N,3,8,8] x) => (float[N,4] y) {
  c = Conv(x, w)
  p = GlobalAveragePool(c)
  y = Flatten(p)
}
"""
WEIGHTS = {"w": noise(4, 3, 3, 3)}


def test_operators_of_ai_onnx_are_the_default_ones(tmp_path: Path) -> None:
    model = parse(TEXT, WEIGHTS)
    assert name_default_domain(model) == 0
    for node in model.graph.node:
        node.domain = "ai.onnx"
    model.opset_import[0].domain = "ai.onnx"
    file = tmp_path / "long.onnx"
    onnx.save(model, file)
    read = read_model(file)
    assert [entry.domain for entry in read.opset_import] == [""]
    x = noise(2, 3, 8, 8)
    np.testing.assert_array_equal(run(read, x), run(parse(TEXT, WEIGHTS), x))


def test_two_imports_become_one() -> None:
    model = parse(TEXT, WEIGHTS)
    version = model.opset_import[0].version
    model.opset_import.extend(
        [onnx.helper.make_opsetid("ai.onnx", 9), onnx.helper.make_opsetid("own", 1)]
    )
    assert name_default_domain(model) == 2
    imports = [(entry.domain, entry.version) for entry in model.opset_import]
    assert imports == [("", version), ("own", 1)]
