from __future__ import annotations

from pathlib import Path

import pytest

from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.bundles.xnnpack import xnnpack_share
from tests.support.graphs import parse


def test_it_takes_every_float_convolution_and_no_quantized_one(tiny_export: Path) -> None:
    fp32 = xnnpack_share(read_model(tiny_export / "resnet8.onnx"))
    assert fp32.taken == fp32.convolutions > 0
    int8 = xnnpack_share(read_model(tiny_export / "resnet8.int8.onnx"))
    assert (int8.taken, int8.convolutions) == (0, 9)


@pytest.mark.parametrize(
    ("picture", "weights", "scales", "taken"),
    [
        ("int8", "int8", 1, 1),
        ("int8", "int8", 4, 1),
        ("uint8", "uint8", 1, 1),
        ("uint8", "uint8", 4, 0),
        ("uint8", "int8", 1, 0),
        ("uint8", "int8", 4, 0),
    ],
)
def test_types_and_scales_of_a_quantized_convolution_decide(
    picture: str, weights: str, scales: int, taken: int
) -> None:
    model = parse(f"""
        net ({picture}[1,3,8,8] x) => (float[1,4,6,6] y)
        <float s = {{0.1}}, {picture} z = {{3}},
         float[{scales}] ws = {{{",".join(["0.1"] * scales)}}},
         {weights}[{scales}] wz = {{{",".join(["0"] * scales)}}},
         {weights}[4,3,3,3] w = {{{",".join(["1"] * 108)}}}>
        {{
            a = DequantizeLinear (x, s, z)
            b = DequantizeLinear <axis = 0> (w, ws, wz)
            y = Conv (a, b)
        }}
    """)
    assert xnnpack_share(model).taken == taken


def test_it_takes_none_of_unknown_size() -> None:
    model = parse("""
        net (float[1,3,h,w] x) => (float[1,4,a,b] y) <float[4,3,1,1] k = {1,1,1,1,1,1,1,1,1,1,1,1}>
        { y = Conv (x, k) }
    """)
    assert (xnnpack_share(model).taken, xnnpack_share(model).convolutions) == (0, 1)
