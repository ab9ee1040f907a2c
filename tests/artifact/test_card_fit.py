"""A card that is of another network than the graph it lies in, or of none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from resnet_deploy.artifact.card import CARD_KEY
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.errors import ArtifactError, SpecError

ROOT = Path(__file__).parents[2]
NET = ROOT / "artifacts/resnet20-cifar10.onnx"
INT8 = ROOT / "artifacts/resnet20-cifar10.int8.onnx"


def changed(source: Path, out: Path, **values: Any) -> Path:
    """Write ``source`` to ``out`` with ``a__b`` of its card changed; a function is called."""
    model = onnx.load(source)
    entry = next(entry for entry in model.metadata_props if entry.key == CARD_KEY)
    card = json.loads(entry.value)
    for path, value in values.items():
        *above, last = path.split("__")
        place = card
        for key in above:
            place = place[key]
        place[last] = value
    entry.value = json.dumps(card)
    onnx.save(model, out)
    return out


@pytest.mark.parametrize("source", [NET, INT8])
def test_our_own_cards_fit(source: Path) -> None:
    assert load(source).card is not None


NAMES = [f"class {number}" for number in range(11)]


@pytest.mark.parametrize("source", [NET, INT8], ids=["fp32", "int8"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model__num_classes": 11, "labels": NAMES}, "11 classes, and the graph gives 10 values"),
        ({"model__num_classes": 5, "labels": []}, "5 classes, and the graph gives 10 values"),
        ({"model__family": "vgg", "model__depth": 19}, "says vgg19, and the graph has"),
        ({"model__family": "imagenet", "model__depth": 50}, "says resnet50, and the graph has"),
        ({"model__depth": 110}, "says resnet110, and the graph has"),
        ({"model__depth": 8}, "says resnet8, and the graph has"),
        ({"model__plain": True}, "says plain20, and the graph has"),
        ({"preprocess__height": 31}, "and the graph takes"),
        ({"preprocess__format": "uint8-nchw"}, "an input of uint8-nchw, and the graph takes"),
        ({"preprocess__format": "float-nhwc"}, "and the graph takes"),
        ({"preprocess__resize_in_graph": True}, "images of any size, and the graph takes"),
        ({"output": {"kind": "top-k", "k": 3, "stride": 32}}, "says top-3, and the graph gives"),
        ({"output__kind": "softmax"}, "probabilities, and the graph gives logits"),
    ],
)
def test_a_card_of_another_network(
    source: Path, change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = changed(source, tmp_path / "net.onnx", **change)
    with pytest.raises(ArtifactError, match="its card says ") as caught:
        load(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_card_that_could_not_be_read_again_is_not_made() -> None:
    card = load(NET).card
    assert card is not None
    with pytest.raises(SpecError, match="a name of 70000 letters for class 9"):
        replace(card, labels=(*NAMES[:9], "x" * 70_000))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": "abcdefghij"}, "labels: 'abcdefghij' is not a list"),
        ({"labels": NAMES[:9]}, "9 class names for 10 classes"),
        ({"labels": [None] * 10}, "labels: null is not text"),
        ({"preprocess__std": [-1, 1, 1]}, "std must be positive, not -1"),
        ({"preprocess__std": "111"}, "preprocess.std: '111' is not a list"),
        ({"preprocess__height": 32.9}, "preprocess.height: 32.9 is not a whole number"),
        ({"preprocess__resize": [10**9, 10**9]}, "images of 1000000000 pixels"),
        ({"preprocess__resize_in_graph": "false"}, "'false' is neither true nor false"),
        ({"preprocess__interpolation": '"; system("x")'}, "interpolation"),
        ({"accuracy": [{"data": "d", "samples": 9, "top1": 7}]}, "a top-1 of 700 %"),
        ({"model__num_classes": -5}, "no cifar net has -5 classes"),
        ({"model__num_classes": "10"}, "model.num_classes: '10' is not a whole number"),
        ({"model__image_size": 10**9}, "images of 1000000000 pixels"),
        ({"model__image_size": 64}, "a network for 64 pixels and images of 32x32"),
        ({"model__in_channels": 4}, "a network for 4 and images of 3 channels"),
        ({"model__depth": 10**15}, "no cifar net has depth"),
        ({"model__depth": 21}, "no cifar net has depth 21"),
        ({"model__family": "vgg"}, "no vgg net has depth 20"),
        ({"model__factory": "os:system"}, "a factory of its own"),
        ({"parity": {"int8_samples": "inf"}}, "parity: 'inf' is not a number"),
        ({"parity": {"int8_samples": -3}}, "-3 as 'int8_samples'"),
        ({"proven_isas": [1]}, "proven_isas: 1 is not text"),
        ({"proven_isas": ["\u001b[31m"]}, "for an instruction set"),
        ({"weights__kind": "heaven"}, "no weights come from 'heaven'"),
        ({"weights__seed": -1}, "-1 is no seed"),
        ({"made_sha256": "zz"}, "'zz' is not a SHA-256"),
        ({"licence": "MIT\n; rm"}, "not an SPDX expression"),
        ({"min_onnxruntime": "banana"}, "'banana' for a release"),
        ({"format": True}, "has format True"),
        ({"format": 4.0}, "has format 4.0"),
        ({"format": [4]}, "has format [4]"),
    ],
)
def test_a_card_that_no_file_can_have(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = changed(NET, tmp_path / "net.onnx", **change)
    with pytest.raises(ArtifactError) as caught:
        load(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
