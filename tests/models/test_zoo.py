"""Nets of torchvision and timm: the logits that their own code gives, from their tensors alone.

Names and shapes of the tensors, timm's ``config.json`` and the logits are data of others; weights
and pictures are drawn from seeds by the script beside them.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from resnet_deploy import load
from resnet_deploy.errors import CheckpointError
from resnet_deploy.models.network import Network

FAMILY = (
    "timm-ecaresnet26t",
    "timm-ecaresnetlight",
    "timm-legacy_seresnet50",
    "timm-resnet10t",
    "timm-resnet26",
    "timm-resnet26d",
    "timm-resnet34d",
    "timm-resnet50c",
    "timm-resnet50d",
    "timm-resnet50t",
    "timm-resnetaa50",
    "timm-resnetblur50",
    "timm-resnetrs50",
    "timm-resnetv2_50",
    "timm-seresnet18",
    "timm-seresnet50",
    "timm-seresnext26d_32x4d",
    "torchvision-resnext50_32x4d",
    "torchvision-wide_resnet50_2",
)
FILTERED = ("timm-resnetaa50", "timm-resnetblur50")
OTHERS = (
    "timm-res2net50_26w_4s",
    "timm-resnest14d",
    "timm-resnet50_gn",
    "timm-resnext26ts",
    "timm-skresnet18",
)


@pytest.fixture(scope="module")
def zoo(shared_data: Path) -> Path:
    folder = shared_data / "zoo"
    if not folder.is_dir():
        pytest.skip(f"no logits of other nets are at {folder}")
    return folder


@pytest.fixture(scope="module")
def seeded(zoo: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("seeded", zoo / "seeded.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(zoo: Path, seeded: ModuleType, name: str, folder: Path) -> tuple[Path, Any]:
    """Return the file of the weights of net ``name``, and its config."""
    net = json.loads((zoo / f"{name}.json").read_text())
    arrays = seeded.state(net["keys"])
    path = folder / "net.pth"
    torch.save({key: torch.from_numpy(np.asarray(array)) for key, array in arrays.items()}, path)
    return path, net.get("config")


def loaded(path: Path) -> Network:
    network = load(path)
    assert isinstance(network, Network)
    return network


def distance(zoo: Path, seeded: ModuleType, name: str, path: Path) -> tuple[float, dict[str, str]]:
    network = loaded(path)
    with torch.no_grad():
        logits = network.module(torch.from_numpy(seeded.images())).numpy()
    expected = np.load(zoo / f"{name}.npy")
    return float(np.abs(logits - expected).max() / np.abs(expected).max()), network.assumed


@pytest.mark.parametrize("name", FAMILY)
def test_logits_are_the_peer_s(name: str, zoo: Path, seeded: ModuleType, tmp_path: Path) -> None:
    path, config = write(zoo, seeded, name, tmp_path)
    if name not in FILTERED:
        far, assumed = distance(zoo, seeded, name, path)
        assert far < 2e-5
    else:  # no tensor tells how maps are filtered, and it is not assumed in silence
        assumed = loaded(path).assumed
    assert ("pool" in assumed) is (name != "timm-legacy_seresnet50")
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config))
        far, assumed = distance(zoo, seeded, name, path)
        assert far < 2e-5
        assert not assumed


@pytest.mark.parametrize("name", OTHERS)
def test_nets_of_others_are_refused(
    name: str, zoo: Path, seeded: ModuleType, tmp_path: Path
) -> None:
    path, config = write(zoo, seeded, name, tmp_path)
    for content in (None, config):
        if content is not None:
            (tmp_path / "config.json").write_text(json.dumps(content))
        with pytest.raises(CheckpointError) as caught:
            load(path)
        assert "\n" not in str(caught.value)
