import numpy as np
import onnx
import pytest

from resnet_deploy.errors import ExportError, SpecError
from resnet_deploy.graph.releases import opset_of
from resnet_deploy.rewrites.opset import choose_opset, set_opset
from tests.support.graphs import noise, parse, run

CONV = """
g (float[N,3,6,6] x) => (float[N,4,6,6] y) {
  c = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w)
  y = Relu(c)
}
"""


@pytest.mark.parametrize(
    ("opset", "target", "expected"),
    [
        (None, None, 17),
        (21, None, 21),
        (21, "1.12", 17),
        (None, "1.8", 14),
        (None, "1.31", 17),
        (13, "1.31.1", 13),
    ],
)
def test_choice_of_opset(opset: int | None, target: str | None, expected: int) -> None:
    assert choose_opset(opset, target) == expected


@pytest.mark.parametrize("target", ["2.0", "1.6", "new", "1.x", ""])
def test_unknown_runtime_versions(target: str) -> None:
    with pytest.raises(SpecError, match="--target-ort"):
        choose_opset(None, target)


@pytest.mark.parametrize("opset", [12, 99])
def test_unsupported_opsets(opset: int) -> None:
    with pytest.raises(SpecError, match="use 13 to 23"):
        choose_opset(opset, None)


@pytest.mark.parametrize(("opset", "ir_version"), [(13, 7), (15, 8), (17, 8), (19, 9), (21, 10)])
def test_opset_and_ir_version_go_together(opset: int, ir_version: int) -> None:
    model = parse(CONV, {"w": noise(4, 3, 3, 3)}, opset=18)
    converted = set_opset(model, opset)

    assert (opset_of(converted), converted.ir_version) == (opset, ir_version)
    x = noise(2, 3, 6, 6)
    np.testing.assert_array_equal(run(converted, x), run(model, x))


def test_an_operator_that_the_opset_lacks() -> None:
    text = "g (float[N,4] x) => (float[N,4] y) { y = Gelu(x) }"
    model = onnx.parser.parse_model('<ir_version: 9, opset_import: ["" : 20]>' + text)
    with pytest.raises(ExportError, match="opset 13"):
        set_opset(model, 13)
