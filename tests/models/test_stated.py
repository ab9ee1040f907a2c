from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resnet_deploy.artifact.weights_card import WeightsCard
from resnet_deploy.errors import CheckpointError
from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.models.stated import stated_by_card
from resnet_deploy.spec import (
    Family,
    InputContract,
    ModelSpec,
    Padding,
    Pool,
    Shortcut,
    Stem,
    Variant,
    resnet_spec,
)
from resnet_deploy.spec.model_request import ModelRequest
from resnet_deploy.weights.weights_file import write_weights
from tests.support.cards import full_card

RESNET8 = resnet_spec(8, num_classes=3, image_size=16)
PLAIN8 = resnet_spec(8, num_classes=3, image_size=16, plain=True)
RESNET50 = resnet_spec(50)
BLURRED = resnet_spec(8, num_classes=3, image_size=16, pool=Pool.BLUR, bn_eps=1e-3)
OWN = ModelSpec(family=Family.CUSTOM, num_classes=3, image_size=16, factory="own_stated_net:small")


def card_for(spec: ModelSpec, **more: Any) -> WeightsCard:
    return WeightsCard(model=spec, preprocess=InputContract.for_size(spec.image_size), **more)


@pytest.mark.parametrize(
    ("spec", "request_", "message"),
    [
        (RESNET8, {"plain": True}, "is a resnet8 by its card, not plain: drop --plain"),
        (RESNET8, {"model": "plain8"}, "is a resnet8 by its card, not plain"),
        (RESNET8, {"model": "a.b:net"}, "is a resnet8 by its card: drop --model a.b:net"),
        (PLAIN8, {"model": "resnet8"}, "is a plain8 by its card, without shortcuts"),
        (PLAIN8, {"shortcut": Shortcut.A}, "is a plain8 by its card, without shortcuts"),
        (RESNET8, {"shortcut": Shortcut.A_END}, "with shortcut A by its card: drop --shortcut"),
        (RESNET8, {"stem": Stem.CIFAR_POOL}, "with stem cifar by its card: drop --stem"),
        (RESNET8, {"stem": Stem.IMAGENET}, "with stem cifar by its card: drop --stem"),
        (RESNET50, {"variant": Variant.V1}, "is a v1.5 net by its card: drop --variant"),
        (RESNET50, {"pool": Pool.BLUR}, "a net with plain pooling by its card: drop --pool"),
        (RESNET50, {"padding": Padding.TF}, "with torch padding by its card: drop --padding"),
        (RESNET50, {"bn_eps": 1e-3}, "a net with epsilon 1e-05 by its card: drop --bn-eps"),
        (BLURRED, {"pool": Pool.AVG}, "a net with blur pooling by its card: drop --pool"),
        (OWN, {}, "a custom net by its card: add --model own_stated_net:small if you trust"),
        (OWN, {"depth": 8}, "a custom net by its card"),
    ],
    ids=range(15),
)
def test_requests_that_say_otherwise(
    spec: ModelSpec, request_: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError) as caught:
        stated_by_card(card_for(spec), ModelRequest(**request_), "net.safetensors")
    assert str(caught.value).startswith("net.safetensors is ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "request_"),
    [
        (RESNET8, {"depth": 8, "image_size": 16, "variant": Variant.V1}),
        (PLAIN8, {"depth": 8}),
        (PLAIN8, {"model": "plain8", "plain": True}),
        (RESNET50, {"variant": Variant.V1_5}),
        (OWN, {"model": "moved.elsewhere:small"}),
        (BLURRED, {"pool": Pool.BLUR, "padding": Padding.TORCH, "bn_eps": 1e-3}),
    ],
    ids=range(6),
)
def test_requests_that_say_the_same_or_nothing(spec: ModelSpec, request_: dict[str, Any]) -> None:
    stated = stated_by_card(card_for(spec), ModelRequest(**request_), "net.safetensors")
    assert (stated.image_size, stated.plain) == (spec.image_size, spec.plain)
    assert (stated.pool, stated.padding, stated.bn_eps) == (spec.pool, spec.padding, spec.bn_eps)


def test_an_unreadable_factory_is_not_printed() -> None:
    spec = ModelSpec(family=Family.CUSTOM, num_classes=3, image_size=16, factory="a:b\n\x1b[2J")
    with pytest.raises(CheckpointError, match=r"add --model package\.module:factory if") as caught:
        stated_by_card(card_for(spec), ModelRequest(), "net.safetensors")
    assert "\n" not in str(caught.value)


def test_code_is_imported_only_if_the_user_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (
        "from pathlib import Path\n"
        "from torch import nn\n"
        "Path('imported').touch()\n"
        "def small():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1),\n"
        "        nn.Flatten(), nn.Linear(4, 3))\n"
    )
    (tmp_path / "own_stated_net.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    own = ModelRequest(model="own_stated_net:small")
    state = resolve(replace(own, image_size=16)).module.state_dict()
    (tmp_path / "imported").unlink()
    card = card_for(OWN, labels=full_card().labels)
    write_weights(tmp_path / "own.safetensors", state, card)
    monkeypatch.delitem(sys.modules, "own_stated_net")
    with pytest.raises(CheckpointError, match="a custom net"):
        resolve(ModelRequest(), str(tmp_path / "own.safetensors"))
    assert not (tmp_path / "imported").exists()

    loaded = resolve(own, str(tmp_path / "own.safetensors"))
    assert (tmp_path / "imported").exists()
    assert (loaded.spec, loaded.labels, loaded.card) == (OWN, full_card().labels, card)

    custom = card_for(ModelSpec(family=Family.CUSTOM, num_classes=4, image_size=16))
    write_weights(tmp_path / "own.safetensors", state, custom)
    with pytest.raises(CheckpointError, match=r"of a net of 4 classes, .* of a net of 3 classes"):
        resolve(own, str(tmp_path / "own.safetensors"))
