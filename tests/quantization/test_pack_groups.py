"""Narrow groups side by side are one group of block-diagonal weights."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.quantization.pack_groups import block_diagonal, pack_groups
from resnet_deploy.quantization.weights import quantize_weights
from tests.support.graphs import noise, parse, run


@given(
    groups=st.sampled_from([2, 4, 6]),
    channels=st.integers(1, 3),
    outputs=st.integers(1, 3),
    data=st.data(),
)
def test_it_computes_the_same(
    groups: int, channels: int, outputs: int, data: st.DataObject
) -> None:
    packed = data.draw(st.sampled_from([n for n in range(1, groups + 1) if groups % n == 0]))
    weight = np.rint(8 * noise(groups * outputs, channels, 3, 3))
    x = np.rint(8 * noise(2, groups * channels, 4, 4))
    wide = block_diagonal(weight, groups, packed, 0)

    def convolved(given_: np.ndarray, count: int) -> np.ndarray:
        text = f"""net (float[N, {groups * channels}, 4, 4] x) => (float[N, M, H, W] y) {{
            y = Conv <group = {count}, pads = [1, 1, 1, 1]> (x, weight) }}"""
        return np.asarray(run(parse(text, {"weight": given_}), x))

    np.testing.assert_array_equal(convolved(wide, groups // packed), convolved(weight, groups))


@pytest.mark.parametrize(
    ("groups", "channels", "wanted"),
    [
        (32, 4, 4),
        (32, 32, 32),
        (32, 64, 32),
        (3, 8, 1),
        (32, 1, 32),  # depthwise has a kernel of its own
        (8, 3, 8),
        (1, 16, 1),
    ],
)
def test_groups_become_32_channels_wide(groups: int, channels: int, wanted: int) -> None:
    weight = noise(2 * groups, channels, 3, 3)
    quantized = quantize_weights(weight, np.zeros(len(weight)), np.float32(1))
    conv = ir.node("Conv", [], {"group": groups})

    count, packed = pack_groups(conv, quantized)

    assert count == wanted
    assert packed.weight.shape == (len(weight), groups * channels // wanted, 3, 3)
    assert packed.weight.dtype == np.int8
    assert np.count_nonzero(packed.weight) == np.count_nonzero(quantized.weight)
