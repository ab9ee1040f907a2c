from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from resnet_deploy.artifact.files import sha256_of
from resnet_deploy.data.labels import match_classes
from resnet_deploy.errors import CheckpointError, SpecError
from resnet_deploy.loading import checkpoint
from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.loading.imagenet import CIFAR10_FILE
from resnet_deploy.spec import resnet_spec
from resnet_deploy.spec.model_request import ModelRequest

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def test_the_pretrained_network() -> None:
    loaded = resolve(ModelRequest(), "cifar10")
    path = CIFAR10_FILE
    assert loaded.spec == resnet_spec(20)
    assert (loaded.source.kind, loaded.source.file) == ("cifar10", path.name)
    assert loaded.source.sha256 == sha256_of(path)
    assert list(loaded.labels) == CLASSES
    assert match_classes(CLASSES[::-1], loaded.labels, 10) == tuple(range(9, -1, -1))
    assert loaded.card is not None
    assert loaded.card.licence
    assert loaded.card.preprocess.height == 32
    assert path.stat().st_size < 1.2e6
    assert path.with_name("README.md").is_file()


def test_a_request_may_name_it_too() -> None:
    assert resolve(ModelRequest(depth=20, num_classes=10), "cifar10").spec == resnet_spec(20)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"depth": 34}, "is a ResNet-20 (basic blocks 3-3-3), not 34"),
        ({"num_classes": 3}, "has 10 classes, not 3: drop --num-classes"),
        ({"plain": True}, "is a resnet20 by its card, not plain: drop --plain"),
        ({"model": "vgg19"}, "is a ResNet, not vgg19: drop --model"),
    ],
)
def test_requests_for_another_net(request_: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        resolve(ModelRequest(**request_), "cifar10")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_it_is_not_for_factories() -> None:
    with pytest.raises(SpecError, match="--weights cifar10 is for the paper's nets, not for"):
        resolve(ModelRequest(model="a.b:net"), "cifar10")


def test_an_installation_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "CIFAR10_FILE", Path("gone.safetensors"))
    with pytest.raises(CheckpointError, match=r"are missing \(.*\): install resnet-deploy again"):
        resolve(ModelRequest(), "cifar10")
