from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from resnet_deploy.errors import SpecError
from resnet_deploy.models.registry import build, build_custom, load_factory
from resnet_deploy.spec import Family, ModelSpec, vgg19_spec
from resnet_deploy.spec.model_request import ModelRequest

SOURCE = """
import torch
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 7))

def half():
    return net().half()

def string():
    return "net"

def raises():
    raise RuntimeError("no\\nweights")

def features():
    return nn.Conv2d(3, 4, 3)

def linear():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 2))

class Pair(nn.Module):
    def forward(self, x):
        return x, x

class Argmax(nn.Module):
    def forward(self, x):
        return x.flatten(1).argmax(1, keepdim=True)

class Leaving(nn.Module):
    def forward(self, x):
        raise SystemExit(0)

def leaves():
    raise SystemExit(0)

number = 3
"""


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    name = f"nets_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    (tmp_path / "broken_net.py").write_text("import not_there_at_all\n")
    (tmp_path / "leaving_net.py").write_text("raise SystemExit(0)\n")
    monkeypatch.chdir(tmp_path)
    return name


def spec_of(factory: str, **options: int) -> ModelSpec:
    return ModelRequest(model=factory, **options).spec()  # type: ignore[arg-type]


def test_factory_of_the_current_folder(nets: str) -> None:
    path = list(sys.path)
    module, spec = build_custom(spec_of(f"{nets}:net"))
    assert sys.path == path
    assert spec.num_classes == 7
    assert not module.training


def test_factory_weights_repeat(nets: str) -> None:
    state = torch.get_rng_state()
    first, again = (build(spec_of(f"{nets}:net")).state_dict() for _ in range(2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert torch.equal(torch.get_rng_state(), state)


def test_half_precision_net_becomes_float32(nets: str) -> None:
    module = build(spec_of(f"{nets}:half"))
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("missing", "has no 'missing'"),
        ("number", "is a int, not callable"),
        ("string", "returned a str"),
        ("raises", "failed with RuntimeError: no weights"),
        ("leaves", "failed with SystemExit: 0"),
        ("Leaving", "SystemExit: 0"),
        ("features", "shape \\(2, 4, 222, 222\\)"),
        ("linear", "fails on a batch of shape \\(2, 3, 224, 224\\).*--image-size"),
        ("Pair", "returns a tuple"),
        ("Argmax", "returns torch.int64"),
    ],
)
def test_what_is_no_classifier_is_refused_in_one_line(
    nets: str, attribute: str, message: str
) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        build(spec_of(f"{nets}:{attribute}"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nothing.here:net", "cannot import nothing.here"),
        ("broken_net:net", "No module named 'not_there_at_all'"),
        ("leaving_net:net", "SystemExit"),
        ("net", "write package.module:factory"),
        (":net", "write package.module:factory"),
    ],
)
def test_what_cannot_be_imported(nets: str, path: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load_factory(path)


def test_class_count_of_a_factory_is_checked(nets: str) -> None:
    with pytest.raises(SpecError, match="has 7 classes, not 10"):
        build(spec_of(f"{nets}:net", num_classes=10))


def test_specs_without_a_module() -> None:
    with pytest.raises(SpecError, match="came as an ONNX file"):
        build(ModelSpec(family=Family.CUSTOM))
    with pytest.raises(SpecError, match="--image-size 16 is too small"):
        build(vgg19_spec(image_size=16))
