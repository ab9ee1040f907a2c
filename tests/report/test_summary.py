from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from resnet_deploy.report.summary import macs, notes, render
from resnet_deploy.results import ModelSummary, Stage

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
CARD = {
    "model": {"num_classes": 10},
    "output": {"kind": "logits", "k": 0, "stride": 32},
    "labels": ["cat [x]", "dog", "frog", "car"],
    "weights": {"kind": "file", "file": "net.pth", "sha256": "0123456789abcdef", "seed": None},
    "preprocess": {"resize": 256, "crop": 224, "mean": [0.485, 0.456, 0.406], "std": [0.2] * 3},
    "steps": [{"name": "fold"}, {"name": "export"}],
    "parity": {"fp32_relative": 1.5e-7},
}
FILE = replace(
    NET, precision="fp32", opset=18, file_bytes=1_234_567, op_counts={"Conv": 20}, card=CARD
)


def text_of(summary: ModelSummary) -> str:
    console = Console(width=100, color_system=None)
    with console.capture() as capture:
        console.print(render(summary))
    return capture.get()


def test_table_keeps_brackets_and_breaks_between_parts() -> None:
    lines = [line.split("  ") for line in text_of(NET).splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert ["conv2_x", "56x56", "3x3 max pool, stride 2", "147,968", "462.4 M"] in cells
    assert ["[3x3, 64; 3x3, 64] \N{MULTIPLICATION SIGN}2"] in cells
    assert ["total", "153,098", "462.4 M"] in cells


def test_notes_of_a_net_compare_with_the_paper() -> None:
    assert notes(NET) == [
        "the paper gives 1.8 billion FLOPs (multiply-adds), we count 0.462 (-74.3%)"
    ]


def test_notes_of_a_file() -> None:
    assert notes(FILE)[1:] == [
        "fp32, opset 18, 1.23 MB",
        "operators: 20 Conv",
        "weights: net.pth, SHA-256 0123456789ab…",
        "classes: 10 (cat [x], dog, frog, …)",
        "input: resize 256, centre crop 224, mean 0.485 0.456 0.406, std 0.2 0.2 0.2",
        "steps: fold, export",
        "parity: fp32_relative 1.5e-07",
    ]
    assert "cat [x]" in text_of(FILE)


def test_foreign_file_has_no_sizes_and_no_card() -> None:
    stages = (Stage(name="Conv", output_size="", layers="2 nodes", parameters=1, macs=2),)
    text = text_of(replace(FILE, stages=stages, card=None))
    assert "output" not in text
    assert "no card: another tool wrote this file" in text


@pytest.mark.parametrize(
    ("count", "text"),
    [(3_663_761_408, "3.664 G"), (40_551_040, "40.6 M"), (640, "640"), (0, "0")],
)
def test_units(count: int, text: str) -> None:
    assert macs(count) == text
