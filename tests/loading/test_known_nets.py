"""Nets of timm and torchvision are known by the names and shapes of all their tensors."""

from __future__ import annotations

import importlib.resources
import json
import re
from pathlib import Path

import pytest
import torch

from resnet_deploy.loading import known_nets as known
from resnet_deploy.loading.strangers import recognised


def test_classes_channels_and_counters_are_no_part_of_a_net() -> None:
    shapes = {"conv.weight": (8, 3, 3, 3), "bn.num": (), "fc.weight": (10, 8), "fc.bias": (10,)}
    digest = known.fingerprint(shapes)
    others = {"conv.weight": (8, 1, 3, 3), "fc.weight": (2, 8), "fc.bias": (2,)}
    assert known.fingerprint(dict(reversed(others.items()))) == digest
    for change in ({"conv.weight": (4, 3, 3, 3)}, {"fc.weight": (10, 4)}, {"bn.mean": (8,)}):
        assert known.fingerprint({**shapes, **change}) != digest


def test_every_row_of_the_table_can_be_asked_for() -> None:
    text = importlib.resources.files("resnet_deploy.loading").joinpath("known_nets.txt").read_text()
    rows = [line.split() for line in text.splitlines()]
    assert len(rows) > 1000
    assert rows == sorted(rows)
    for digest, *models in rows:
        assert re.fullmatch(r"[0-9a-f]{10}", digest)
        assert models
        assert all(re.fullmatch(r"(timm|torchvision):\w+", model) for model in models)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_strangers_of_the_zoo_are_known(shared_data: Path, prefix: str) -> None:
    zoo = shared_data / "zoo"
    if not zoo.is_dir():
        pytest.skip("the nets of timm and torchvision are not there")
    found = {}
    for file in sorted(zoo.glob("*.json")):
        shapes = json.loads(file.read_text())["keys"]
        zero = torch.zeros(())
        state = {prefix + key: zero.expand(shape) for key, shape in shapes.items()}
        if models := known.known_nets(state):
            found[file.stem] = models
            assert recognised(state) is not None
    assert found == {
        f"timm-{name}": (f"timm:{name}",)
        for name in (
            "res2net50_26w_4s",
            "resnest14d",
            "resnet50_gn",
            "resnext26ts",
            "skresnet18",
        )
    }


def test_a_known_net_is_named_with_those_of_the_same_tensors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = {"strange.weight": torch.ones(2, 2)}
    digest = known.fingerprint({"strange.weight": (2, 2)})
    monkeypatch.setattr(known, "_table", lambda: {digest: ("timm:a", "timm:b")})
    assert recognised(state) == (
        "is timm's a, which is not built from its weights alone: load it with --model timm:a "
        "(of the same tensors: timm:b)"
    )
