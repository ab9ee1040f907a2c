from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from resnet_deploy.artifact.card import Accuracy, Card, Step, WeightsSource
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.report.views.summary import card_lines
from resnet_deploy.spec import (
    InputContract,
    InputFormat,
    OutputKind,
    OutputSpec,
    Overflow,
    resnet_spec,
)

CARD = Card(
    model=resnet_spec(20, num_classes=4, image_size=224),
    preprocess=InputContract.for_size(224),
    weights=WeightsSource(kind="file", file="net.pth", sha256="0123456789abcdef"),
    labels=("cat [x]", "dog", "frog", "car"),
    steps=(Step(name="export"),),
    versions={"onnx": "1.23.2", "torch": "2.13.0"},
    parity={"fp32_relative": 1.5e-7},
    licence="MIT",
)
QUANTIZED = {
    "data": "train",
    "data_sha256": "fedcba9876543210",
    "effort": "fast",
    "method": "mse",
    "samples": 1024,
    "synthetic": False,
    "target_isa": "portable",
}


def lines(card: Card) -> list[str]:
    return card_lines(json.loads(card.to_json()))


def test_a_float_file() -> None:
    assert lines(CARD) == [
        "weights: net.pth, SHA-256 0123456789ab…",
        "licence: MIT",
        "input: RGB 0 to 1, shorter side 256 bilinear, centre 224, "
        "mean 0.485 0.456 0.406, std 0.229 0.224 0.225",
        "output: logits of 4 classes (cat [x], dog, frog, …)",
        "fp32 parity: within 1.5e-07 of the largest logit",
        "accuracy: not recorded (evaluate --data DIR --record)",
        "steps: export",
        "made with: onnx 1.23.2, torch 2.13.0",
    ]


def test_an_int8_file() -> None:
    card = replace(
        CARD.with_step("quantize", QUANTIZED),
        parity={"int8_sqnr_db": 28.6, "int8_samples": 128.0, "int8_agreement": 0.992},
        proven_isas=("arm64", "x86-vnni"),
        accuracy=(
            Accuracy(data="test", samples=500, of=5000, top1=0.83, top5=0.992, data_sha256="ab"),
            Accuracy(data="val", samples=1000, top1=0.5),
        ),
    )
    found = lines(card)
    assert "calibration: 1,024 images of train, SHA-256 fedcba987654…; " in found[4]
    assert found[4].endswith("mse, effort fast, for portable")
    assert found[5].startswith("overflow: unknown: the card does not say; verify --saturation")
    assert found[6:9] == [
        "int8 fidelity: 28.6 dB above the noise, the class of fp32 on 99.2% of 128 images",
        "accuracy: top-1 83.00%, top-5 99.20% on 500 of the 5,000 images of test (SHA-256 ab…); "
        "top-1 50.00% on 1,000 images of val",
        "proven on: arm64, x86-vnni",
    ]
    for overflow in Overflow:
        made = CARD.with_step("quantize", {**QUANTIZED, "overflow": overflow.value})
        assert made.overflow is overflow
        said = lines(made)
        assert f"overflow: {overflow.value}: {overflow.guarantee}" in said
    for older in (CARD, CARD.with_step("quantize", {**QUANTIZED, "overflow": ["never"]})):
        assert older.overflow is Overflow.UNKNOWN
    unproven = lines(replace(card, proven_isas=()))
    assert "proven on: none (verify --isa ISA --data DIR --record)" in unproven


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"resize_in_graph": True}, "any size (the graph resizes: shorter side"),
        ({"format": InputFormat.UINT8_S2D}, "RGB bytes, S2D, shorter side"),
    ],
)
def test_inputs_of_bytes(change: dict[str, object], words: str) -> None:
    preprocess = replace(CARD.preprocess, **change)  # type: ignore[arg-type]
    assert words in lines(replace(CARD, preprocess=preprocess))[2]


def test_unusual_origins_and_outputs() -> None:
    bare = {"data": "batchnorm statistics", "effort": "fast", "method": "mse", "target_isa": "auto"}
    card = replace(
        CARD,
        weights=WeightsSource(kind="random", seed=3),
        output=OutputSpec(kind=OutputKind.EMBEDDING),
        steps=(Step(name="quantize", options=bare),),
        licence="",
        parity={"other": 0.12345},
    )
    found = lines(card)
    assert found[:2] == ["weights: random, seed 3", "licence: not stated"]
    assert "output: embedding" in found
    assert "other: 0.123" in found
    assert "calibration: batchnorm statistics; mse, effort fast, for auto" in found
    assert not any("accuracy" in line for line in found)
    top = replace(CARD, labels=(), output=OutputSpec(kind=OutputKind.TOP_K, k=3))
    assert "output: top 3 of 4 classes, without names" in lines(top)


def test_real_files_have_all_that_is_asked_for(tiny_export: Path) -> None:
    card = load(tiny_export / "resnet8.int8.onnx").card
    assert card is not None
    text = "\n".join(lines(card))
    assert "calibration: 32 synthetic images, SHA-256" in text
    assert "int8 fidelity:" in text
