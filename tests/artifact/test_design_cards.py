"""Cards of nets that came after the paper."""

from __future__ import annotations

import json
from typing import Any

import pytest

from resnet_deploy.artifact.weights_card import WeightsCard
from resnet_deploy.errors import CheckpointError
from resnet_deploy.spec import InputContract, resnet_spec
from resnet_deploy.spec.model_request import ModelRequest


def card_of(name: str, **options: Any) -> WeightsCard:
    spec = ModelRequest(model=name, **options).spec()
    return WeightsCard(model=spec, preprocess=InputContract.for_size(spec.image_size))


@pytest.mark.parametrize(
    "name", ["resnet50d", "seresnext26d_32x4d", "resnetv2_18", "ecaresnet26t", "senet154"]
)
def test_a_design_comes_back_from_a_card(name: str) -> None:
    card = card_of(name)
    text = card.to_json()
    assert json.loads(text)["format"] == 3
    assert WeightsCard.from_json(text) == card
    assert WeightsCard.from_json(text).to_json() == text


def test_cards_of_the_paper_s_nets_stay_as_they_were() -> None:
    spec = resnet_spec(34)
    text = WeightsCard(model=spec, preprocess=InputContract.for_size(224)).to_json()
    data = json.loads(text)
    assert data["format"] == 2
    assert {"design", "in_channels"}.isdisjoint(data["model"])
    assert WeightsCard.from_json(text).model == spec


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("stages",), []),
        (("stages", 0, "widths"), [[64, 64]] * 3000),
        (("stages", 0, "widths"), [[-64, 64]]),
        (("stages", 0, "widths"), "many"),
        (("stages", 0, "widths"), [[64]]),
        (("stages", 0, "channels"), 10**12),
        (("stages", 0, "channels"), "wide"),
        (("stages", 0, "groups"), 7),
        (("stages", 0, "groups"), 0),
        (("stem",), [64, 64]),
        (("stem",), [10**9]),
        (("head", 0, "outputs"), 10**9),
        (("head", 0, "kind"), "softmax"),
        (("head",), [{"path": "", "kind": "linear", "outputs": 1000}] * 99),
        (("block",), "dense"),
        (("order",), None),
        (("projection_kernel",), 99),
        (("embedding",), -1),
        (("unknown",), 1),
    ],
)
def test_absurd_designs_in_cards_are_refused(path: tuple[Any, ...], value: Any) -> None:
    data = json.loads(card_of("resnet50d").to_json())
    at = data["model"]["design"]
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    with pytest.raises(CheckpointError, match="the weights card is damaged") as caught:
        WeightsCard.from_json(json.dumps(data))
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_head_paths_of_a_card_are_names() -> None:
    data = json.loads(card_of("resnet50d").to_json())
    for path in ("../x", "a.b", "0\n", "x" * 500):
        data["model"]["design"]["head"][0]["path"] = path
        with pytest.raises(CheckpointError, match="the weights card is damaged"):
            WeightsCard.from_json(json.dumps(data))
