"""``--model timm:NAME`` and ``hf:FOLDER``: tests/support/packages stands for both packages."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from resnet_deploy import api
from resnet_deploy.artifact.onnx_file import load as open_file
from resnet_deploy.errors import CheckpointError, SpecError
from resnet_deploy.models.network import Network
from resnet_deploy.reference import network_behind
from resnet_deploy.spec import Family, Learned
from tests.support import cli

_PACKAGES = Path(__file__).parents[1] / "support" / "packages"


def _load(weights: Path | str = "random", **words: Any) -> Network:
    network = api.load(weights, **words)
    assert isinstance(network, Network)
    return network


def _tensor(network: Network, name: str) -> Tensor:
    tensor: Tensor = network.module.state_dict()[name]
    return tensor


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """timm and transformers, as far as they are called."""
    for name in ("timm", "transformers"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(_PACKAGES)
    yield
    for name in ("timm", "transformers"):
        sys.modules.pop(name, None)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file of timm:tiny for five classes of grey pictures, as DataParallel saves it."""
    torch.manual_seed(3)
    convolution = nn.Conv2d(1, 8, 3, bias=False)
    norm, head = nn.BatchNorm2d(8), nn.Linear(8, 5)
    parts = {"conv1": convolution, "bn1": norm, "fc": head}
    state = {
        f"module.{name}.{key}": tensor
        for name, part in parts.items()
        for key, tensor in part.state_dict().items()
    }
    torch.save({"state_dict": state}, tmp_path / "tiny.pth")
    return tmp_path / "tiny.pth"


@pytest.mark.usefixtures("packages")
class TestTimm:
    def test_an_untrained_net_has_the_pictures_and_classes_of_its_name(self):
        net = _load(model="timm:tiny.a1_in1k", seed=4)
        assert net.spec.family is Family.CUSTOM
        assert (net.spec.factory, net.spec.name) == ("timm:tiny.a1_in1k", "tiny.a1_in1k")
        assert net.spec.image_size == 24
        assert net.preprocess.mean == (0.4, 0.5, 0.6)
        assert net.preprocess.resize == (32, 32)
        assert net.preprocess.assumed == ()
        assert len(net.labels) == 1000
        assert net.source.kind == "random"
        again = _load(model="timm:tiny.a1_in1k", seed=4)
        assert torch.equal(_tensor(net, "fc.weight"), _tensor(again, "fc.weight"))

    def test_a_file_tells_classes_and_channels(self, weights):
        net = _load(weights, model="timm:tiny")
        assert (net.spec.num_classes, net.spec.in_channels) == (5, 1)
        stored = torch.load(weights, weights_only=True)["state_dict"]
        assert torch.equal(_tensor(net, "conv1.weight"), stored["module.conv1.weight"])
        assert net.preprocess.channels == 1
        # The recipe is of three channels: of one it says the geometry alone.
        assert net.preprocess.assumed == ("range", "mean", "std")
        assert net.preprocess.learned["resize"] is Learned.CONFIG
        assert net.labels == ()

    @pytest.mark.parametrize(
        ("words", "what"),
        [
            ({"num_classes": 7}, "has 5 classes, not 7: drop --num-classes"),
            ({"in_channels": 3}, "has 1 input channel, not 3: drop --in-channels"),
        ],
    )
    def test_words_that_contradict_the_file(self, weights, words, what):
        with pytest.raises(CheckpointError, match=what):
            _load(weights, model="timm:tiny", **words)

    def test_a_file_of_another_net_is_refused(self, tmp_path):
        torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "other.pth")
        with pytest.raises(CheckpointError, match="does not fit timm:tiny: it has the unknown"):
            _load(tmp_path / "other.pth", model="timm:tiny")

    def test_a_card_names_the_net_and_a_checkpoint_is_built_by_it(self, weights, tmp_path):
        net = _load(weights, model="timm:tiny", image_size=16)
        file = api.export(net, simplify=False)
        api.save(file, tmp_path / "tiny.onnx")
        opened = open_file(tmp_path / "tiny.onnx")
        assert opened.card is not None
        assert opened.card.model.factory == "timm:tiny"
        behind = network_behind(opened, weights, factory="timm:tiny")
        assert behind.spec == opened.card.model

    def test_names_that_are_none(self):
        with pytest.raises(SpecError, match="no model 'tinny': the nearest are tiny"):
            _load(model="timm:tinny")
        with pytest.raises(SpecError, match="Invalid pretrained tag"):
            _load(model="timm:tiny.zzz")
        with pytest.raises(SpecError, match="has no such name"):
            _load(model="timm:../tiny")
        with pytest.raises(SpecError, match="download those of timm:tiny with its own package"):
            _load("imagenet", model="timm:tiny")


@pytest.mark.usefixtures("packages")
class TestFolders:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """As save_pretrained writes it."""
        labels = {"0": "cat", "1": "dog"}
        config = {"model_type": "made-up", "id2label": labels}
        (tmp_path / "config.json").write_text(json.dumps(config))
        processor = {
            "image_mean": [0.5] * 3,
            "image_std": [0.25] * 3,
            "size": {"height": 24, "width": 24},
        }
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
        state = {
            "embedder.weight": torch.ones(4, 3, 3, 3),
            "embedder.bias": torch.zeros(4),
            "classifier.weight": torch.ones(2, 4),
            "classifier.bias": torch.zeros(2),
        }
        save_file(state, tmp_path / "model.safetensors")
        return tmp_path

    def test_a_folder_is_loaded_with_its_weights_pictures_and_classes(self, folder):
        net = _load(model=f"hf:{folder}")
        assert net.labels == ("cat", "dog")
        assert net.preprocess.mean == (0.5, 0.5, 0.5)
        assert net.spec.image_size == 24
        assert net.source.kind == "file"
        with torch.no_grad():
            logits = net.module(torch.ones(1, 3, 24, 24))
        assert logits.tolist() == [[108.0, 108.0]]

    def test_code_of_a_folder_is_never_run(self, folder):
        config = json.loads((folder / "config.json").read_text())
        config["auto_map"] = {"AutoConfig": "evil.Config"}
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(SpecError, match="can't be built: it holds code of its own"):
            _load(model=f"hf:{folder}")

    def test_a_folder_without_a_config(self, tmp_path):
        with pytest.raises(SpecError, match=r"is not a folder with a config\.json"):
            _load(model=f"hf:{tmp_path / 'nothing'}")


@pytest.mark.parametrize(
    ("model", "command"),
    [
        ("timm:resnet18", "pip install 'resnet-deploy[timm]'"),
        ("torchvision:resnet18", "pip install 'resnet-deploy[timm]'"),
        ("hf:folder", "pip install transformers"),
    ],
)
def test_a_missing_package_is_exit_3_with_its_command(model, command, monkeypatch):
    for name in ("timm", "torchvision", "transformers"):
        monkeypatch.setitem(sys.modules, name, None)
    result = cli.run("export", "--model", model)
    assert result.exit_code == 3
    assert command in result.stderr.replace("\n", " ")


def test_a_broken_package_says_why(monkeypatch, tmp_path):
    (tmp_path / "timm.py").write_text("raise RuntimeError('operator nms does not exist')")
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    result = cli.run("export", "--model", "timm:resnet18")
    assert result.exit_code == 3
    assert "operator nms does not exist" in result.stderr


def test_a_net_of_timm_itself():
    pytest.importorskip("timm", exc_type=ImportError)
    net = _load(model="timm:resnet10t", in_channels=1, num_classes=5, image_size=32)
    with torch.no_grad():
        assert net.module(torch.zeros(1, 1, 32, 32)).shape == (1, 5)
