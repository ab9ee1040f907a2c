from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from resnet_deploy.passes.pad_into_window import pad_into_window
from resnet_deploy.passes.result import PassResult, Refusal
from tests.support.graphs import noise, op_types, parse, run, to_ir

PAD = "<kernel_shape=[3,3], strides=[2,2], pads=[1,0,0,1]>"
CONV = f"""
g (float[N,2,8,9] x) => (float[N,4,h,w] y) {{
  p = Pad(x, widths, filler)
  y = Conv{PAD}(p, weight)
}}
"""
POOL = f"""
g (float[N,2,8,9] x) => (float[N,2,h,w] y) {{
  p = Pad(x, widths, filler)
  y = MaxPool{PAD}(p)
}}
"""
WIDTHS = np.array([0, 0, 0, 1, 0, 0, 1, 1], np.int64)


def graph_of(text: str, widths: Any = WIDTHS, filler: float = 0.0) -> Any:
    given: dict[str, Any] = {"widths": np.array(widths, np.int64), "filler": np.float32(filler)}
    if "weight" in text:
        given["weight"] = noise(4, 2, 3, 3)
    return parse(text, given)


@pytest.mark.parametrize(("text", "filler"), [(CONV, 0.0), (POOL, -np.inf)])
def test_the_window_takes_the_border(text: str, filler: float) -> None:
    proto = graph_of(text, filler=filler)
    x = noise(2, 2, 8, 9) - 3
    model = to_ir(proto)
    assert pad_into_window(model) == PassResult(1)
    assert "Pad" not in op_types(model)
    assert list(model.graph.initializers) == (["weight"] if text is CONV else [])
    np.testing.assert_allclose(run(model, x), run(proto, x), rtol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        POOL.replace("Pad(x, widths, filler)", 'Pad<mode="edge">(x, widths)'),
        POOL.replace("p = Pad(x,", "r = Relu(x) p = Pad(r,"),
        POOL.replace(
            "p = Pad(x,", "zero = Constant<value_float=0.0>() r = Clip(x, zero) p = Pad(r,"
        ),
    ],
    ids=["copies", "zeros behind ReLU", "zeros behind Clip"],
)
def test_what_no_window_of_a_max_pool_takes(text: str) -> None:
    proto = graph_of(text)
    x = noise(2, 2, 8, 9)
    model = to_ir(proto)
    assert pad_into_window(model) == PassResult(1)
    np.testing.assert_array_equal(run(model, x), run(proto, x))


@pytest.mark.parametrize(
    ("text", "filler", "reason"),
    [
        (CONV, 1.0, "Conv pads with another value"),
        (POOL, 0.0, "MaxPool pads with another value"),
        (POOL.replace("p = Pad(x,", "r = Relu(x) p = Pad(r,"), 0.5, "MaxPool pads with another"),
        (CONV.replace("Pad(x", 'Pad<mode="edge">(x'), 0.0, "Conv pads with another value"),
        (
            POOL.replace("Pad(x", 'Pad<mode="edge">(x').replace("pads=", "dilations=[2,1], pads="),
            0.0,
            "MaxPool pads with another",
        ),
        (CONV.replace("y = Conv", "z = Relu(p) y = Conv"), 0.0, "a Relu reads it"),
        (CONV.replace("pads=[1,0,0,1]", 'auto_pad="SAME_UPPER"'), 0.0, "pads by the size of its"),
        (POOL.replace("pads=", "ceil_mode=1, pads="), -np.inf, "indices, or rounds up"),
        (POOL.replace("pads=[1,0,0,1]", "pads=[1,2,0,2]"), -np.inf, "as wide as the MaxPool's"),
        (CONV.replace("w] y)", "w] y, float[N,2,a,b] p)"), 0.0, "its output is the graph's"),
    ],
    ids=range(10),
)
def test_refusals(text: str, filler: float, reason: str) -> None:
    result = pad_into_window(to_ir(graph_of(text, filler=filler)))
    assert result.count == 0
    [refusal] = result.refusals
    assert isinstance(refusal, Refusal)
    assert reason in refusal.reason


@pytest.mark.parametrize(
    "widths",
    [[0, 1, 0, 0, 0, 1, 0, 0], [0, 0, -1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0]],
    ids=["channels", "crop", "nothing"],
)
def test_other_pads_are_no_candidates(widths: list[int]) -> None:
    assert pad_into_window(to_ir(graph_of(CONV, widths))) == PassResult()


def test_mirrored_borders_are_no_candidates() -> None:
    text = CONV.replace("Pad(", 'Pad<mode="reflect">(')
    assert pad_into_window(to_ir(graph_of(text))) == PassResult()


def test_several_windows_read_one_border() -> None:
    text = CONV.replace("y = Conv", f"a = Conv{PAD}(p, weight) b = Conv")
    text = text.replace("(p, weight)\n}", "(p, weight) y = Add(a, b)\n}")
    model = to_ir(graph_of(text))
    assert pad_into_window(model) == PassResult(1)
    assert op_types(model) == ["Conv", "Conv", "Add"]
