import numpy as np
import pytest

from resnet_deploy.passes.result import PassResult, Refusal
from resnet_deploy.passes.zero_pad_shortcut import zero_pad_shortcut
from tests.support.graphs import noise, op_types, parse, run, to_ir

INT64_MAX = 2**63 - 1

OPTION_A = """
g (float[N,3,7,8] x) => (float[N,7,4,4] y) {
  rows = Slice(x, start, end, axis2, step)
  both = Slice(rows, start, end, axis3, step)
  y = Pad(both, pads)
}
"""


def constants(**changed: list[int]) -> dict[str, np.ndarray]:
    values = {
        "start": [0],
        "end": [INT64_MAX],
        "axis2": [2],
        "axis3": [3],
        "step": [2],
        "pads": [0, 2, 0, 0, 0, 2, 0, 0],
    }
    return {name: np.array(value, np.int64) for name, value in {**values, **changed}.items()}


def test_slices_and_padding_become_one_convolution_that_copies() -> None:
    model = parse(OPTION_A, constants())
    graph = to_ir(model)

    assert zero_pad_shortcut(graph) == PassResult(1)

    assert op_types(graph) == ["Conv"]
    x = noise(2, 3, 7, 8)
    np.testing.assert_array_equal(run(graph, x), run(model, x))


@pytest.mark.parametrize(
    "changed",
    [{"start": [1]}, {"end": [6]}],
    ids=["does not start at 0", "does not run to the end"],
)
def test_other_slices_stay(changed: dict[str, list[int]]) -> None:
    text = OPTION_A.replace("float[N,7,4,4]", "float[N,7,a,b]")
    model = parse(text, constants(**changed))
    graph = to_ir(model)

    result = zero_pad_shortcut(graph)

    reason = "it does not take every s-th pixel"
    assert result == PassResult(1, (Refusal("both", reason),))
    assert "Slice" in op_types(graph)
    x = noise(2, 3, 7, 8)
    np.testing.assert_array_equal(run(graph, x), run(model, x))


@pytest.mark.parametrize(
    "pads", [[0, 0, 1, 1, 0, 0, 1, 1], [0, 0, 0, 0, 1, 0, 0, 0]], ids=["picture", "batch"]
)
def test_refuses_other_padding(pads: list[int]) -> None:
    text = "g (float[N,3,4,4] x) => (float[a,b,c,d] y) { y = Pad(x, pads) }"
    graph = to_ir(parse(text, {"pads": np.array(pads, np.int64)}))
    refusal = Refusal("y", "it pads more than the channels, or crops")
    assert zero_pad_shortcut(graph) == PassResult(refusals=(refusal,))


def test_refuses_a_filling_other_than_zero() -> None:
    text = "g (float[N,3,4,4] x) => (float[N,5,4,4] y) { y = Pad(x, pads, one) }"
    values = {"pads": np.array([0, 1, 0, 0, 0, 1, 0, 0], np.int64), "one": np.float32(1)}
    refusal = Refusal("y", "it does not fill with zeros")
    assert zero_pad_shortcut(to_ir(parse(text, values))) == PassResult(refusals=(refusal,))


@pytest.mark.parametrize(
    ("inputs", "arguments", "reason"),
    [
        ("float[N,3,4,4] x, float v", "x, pads, v", "its widths or its filling"),
        ("float[N,3,4,4] x, int64[8] pads", "x, pads", "its widths or its filling"),
        ("float[N,C,4,4] x", "x, pads", "its input's channels are not known"),
        ("float[N,3,4,4,4] x", "x, pads", "its input is not known to have four dimensions"),
    ],
)
def test_refuses_what_is_not_known(inputs: str, arguments: str, reason: str) -> None:
    rank = inputs.split("]", maxsplit=1)[0].count(",") + 1
    text = f"g ({inputs}) => (float[{','.join('abcde'[:rank])}] y) {{ y = Pad({arguments}) }}"
    pads = {"pads": np.array([0, 1, *[0] * (2 * rank - 2)], np.int64)}
    graph = to_ir(parse(text, {} if "pads" in inputs else pads))

    result = zero_pad_shortcut(graph)

    assert result.count == 0
    assert [(refusal.node, refusal.reason[: len(reason)]) for refusal in result.refusals] == [
        ("y", reason)
    ]
    assert op_types(graph) == ["Pad"]
