from __future__ import annotations

import json
from dataclasses import replace

import pytest

from resnet_deploy.artifact.card import Card, WeightsSource
from resnet_deploy.report import view
from resnet_deploy.report.document import Notes
from resnet_deploy.report.views.summary import macs
from resnet_deploy.results import ModelSummary, Stage
from resnet_deploy.spec import InputContract, resnet_spec
from tests.support.terminal import printed

STAGES = (
    Stage(
        name="conv2_x",
        output_size="56x56",
        layers="3x3 max pool, stride 2; [3x3, 64; 3x3, 64] x 2",
        parameters=147_968,
        macs=462_422_016,
    ),
    Stage(name="fc", output_size="1x1", layers="10-d fc", parameters=5_130, macs=5_120),
)
NET = ModelSummary(name="resnet18", stages=STAGES, paper_flops=1.8e9)
CARD = json.loads(
    Card(
        model=resnet_spec(20, num_classes=2, image_size=224),
        preprocess=InputContract.for_size(224),
        weights=WeightsSource(kind="file", file="net.pth", sha256="0123456789abcdef"),
        labels=("cat [x]", "dog"),
    ).to_json()
)
FILE = replace(
    NET,
    precision="fp32",
    opset=18,
    file_bytes=1_234_567,
    op_counts={"Conv": 20},
    input="x (N, 3, 224, 224) float32",
    outputs=("logits (N, 10) float32",),
    min_onnxruntime="1.14",
    card=CARD,
)


def notes(summary: ModelSummary) -> list[str]:
    blocks = view(summary).sections[0].blocks
    return [line for block in blocks if isinstance(block, Notes) for line in block.lines]


def test_table_keeps_brackets_and_breaks_between_parts() -> None:
    lines = [line.split("  ") for line in printed(NET).splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert ["conv2_x", "56x56", "3x3 max pool, stride 2", "147,968", "462.4 M"] in cells
    assert ["[3x3, 64; 3x3, 64] \N{MULTIPLICATION SIGN}2"] in cells
    assert ["total", "153,098", "462.4 M"] in cells


def test_notes_of_a_net_compare_with_the_paper() -> None:
    assert notes(NET) == [
        "the paper gives 1.8 billion FLOPs (multiply-adds), we count 0.462 (-74.3%)"
    ]


def test_notes_of_a_file() -> None:
    assert notes(FILE)[1:6] == [
        "fp32, opset 18, 1.23 MB, ONNX Runtime 1.14 or later",
        "takes: x (N, 3, 224, 224) float32",
        "outputs: logits (N, 10) float32",
        "operators: 20 Conv",
        "weights: net.pth, SHA-256 0123456789ab…",
    ]
    assert "cat [x]" in printed(FILE)


def test_foreign_file_has_no_sizes_and_no_card() -> None:
    stages = (Stage(name="Conv", output_size="", layers="2 nodes", parameters=1, macs=2),)
    text = printed(replace(FILE, stages=stages, card=None))
    assert "stage" not in text
    assert "no card: another tool wrote this file" in text


@pytest.mark.parametrize(
    ("count", "text"),
    [(3_663_761_408, "3.664 G"), (40_551_040, "40.6 M"), (640, "640"), (0, "0")],
)
def test_units(count: int, text: str) -> None:
    assert macs(count) == text
