"""bf16 is named as the better deal where that was measured, and nowhere else."""

import math
from dataclasses import replace

import pytest

from resnet_deploy.results.bf16_figures import Bf16Figures

TWICE = Bf16Figures(
    fp32_ns=(66_200_000, 66_000_000, 66_400_000) * 4,
    bf16_ns=(31_300_000, 31_200_000, 31_400_000) * 4,
    sqnr_db=39.5,
    agreement=127 / 128,
    samples=128,
)


@pytest.mark.parametrize(
    ("change", "ratio", "pays", "better"),
    [
        ({}, 1.3, True, True),
        ({}, 3.0, True, False),
        ({}, 3.0, False, True),
        ({"agreement": 0.8}, 1.3, False, False),
        ({"agreement": None}, 1.3, False, True),
        ({"bf16_ns": TWICE.fp32_ns}, 0.9, False, False),
        ({"fp32_ns": (), "bf16_ns": (), "unmeasured": "why"}, 0.5, False, False),
    ],
)
def test_what_is_the_better_deal(change, ratio, pays, better) -> None:
    figures = replace(TWICE, **change)
    assert figures.is_better(ratio, int8_pays=pays) is better
    assert ("is the better deal:" in figures.text(ratio, int8_pays=pays)) is better


def test_the_words() -> None:
    assert TWICE.text(1.2, int8_pays=True) == (
        "bf16 on OpenVINO is the better deal: the fp32 file is 2.12 times as fast so (95 % "
        "interval 2.11 to 2.12), outputs 39.5 dB above the noise, the answer of fp32 on 127 of 128 "
        "images; resnet-deploy bench MODEL.onnx --runner ort --runner openvino-bf16"
    )
    missing = Bf16Figures(unmeasured="this CPU has none")
    assert missing.text(1.0, int8_pays=True) == (
        "not measured whether bf16 would be the better deal: this CPU has none"
    )
    assert (missing.ratio, missing.interval) == (None, None)
    same = replace(TWICE, sqnr_db=math.inf)
    assert "inf" not in same.text(1.2, int8_pays=True)
