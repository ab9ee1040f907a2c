from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from resnet_deploy.loading import releases
from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.loading.imagenet import FILES
from resnet_deploy.loading.releases import release_of
from resnet_deploy.spec import Learned, Variant, resnet_spec
from resnet_deploy.spec.model_request import ModelRequest
from tests.support.states import shapes_of

NOBODY = "0" * 64


@pytest.mark.parametrize(
    ("name", "resize"),
    [
        ("resnet50-11ad3fa6.pth", 232),
        ("resnet50-0676ba61.pth", 256),
        ("resnet50-19c8e357.pth", 256),
        ("resnet18-f37072fd.pth", 256),
        ("resnext101_64x4d-173b62eb.pth", 232),
        ("wide_resnet50_2-9ba9bcbe (1).pth", 232),
        ("vgg19_bn-c79401a0.pth", 256),
        ("resnet50-11ad3fa6-fp16.safetensors", 232),
    ],
)
def test_a_name_tells_its_recipe_but_proves_nothing(name: str, resize: int) -> None:
    found = release_of(name, NOBODY)
    assert found is not None
    assert (found.resize, found.proved) == (resize, False)


@pytest.mark.parametrize(
    "name",
    [
        "resnet50.pth",
        "resnet50-deadbeef.pth",
        "resnet18-11ad3fa6.pth",
        "my-resnet50-11ad3fa6.pth",
        "resnet20-12fca82f.th",
        "",
    ],
)
def test_other_names_tell_nothing(name: str) -> None:
    assert release_of(name, NOBODY) is None


def test_the_content_is_known_under_any_name() -> None:
    found = release_of("renamed.pth", "11ad3fa6" + "0" * 56)
    assert found is not None
    assert (found.name, found.resize, found.proved) == ("resnet50-11ad3fa6", 232, True)
    crossed = release_of("resnet18-f37072fd.pth", "11ad3fa6" + "0" * 56)
    assert crossed == found


def test_what_is_downloaded_is_in_the_table() -> None:
    for name in FILES.values():
        found = release_of(name, name.rpartition("-")[2].removesuffix(".pth") + "0" * 56)
        assert found is not None
        assert found.proved


def test_a_published_file_settles_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.pth"
    torch.save(shapes_of(resnet_spec(18)), path)
    digits = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    monkeypatch.setitem(releases._BY_DIGITS, digits, "resnet50-11ad3fa6")
    network = resolve(ModelRequest(), str(path))
    assert network.notices == ()
    assert network.preprocess.assumed == ()
    assert network.preprocess.resize == (232, 232)
    assert network.preprocess.learned["resize"] is Learned.RELEASE
    assert network.labels[0] == "tench"
    assert network.spec.variant is Variant.V1_5

    other = resolve(ModelRequest(image_size=448), str(path)).preprocess
    assert other.resize == (464, 464)
    assert other.learned["size"] is Learned.OPTION


def test_a_name_that_lies_is_said(tmp_path: Path) -> None:
    path = tmp_path / "resnet50-11ad3fa6.pth"
    torch.save(shapes_of(resnet_spec(18, num_classes=10)), path)
    network = resolve(ModelRequest(), str(path))
    [told] = network.notices
    assert told.startswith("the name is that of torchvision's resnet50-11ad3fa6.pth, the content")
    assert "is assumed" in told
    assert "--bn-eps" in network.assumption
    assert network.preprocess.resize == (232, 232)
    assert "resize" in network.preprocess.assumed
    assert network.labels == ()
