from __future__ import annotations

import pytest

from resnet_deploy.errors import SpecError
from resnet_deploy.spec import Family, Shortcut, Stem, Variant
from resnet_deploy.spec.model_request import ModelRequest


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (ModelRequest(depth=34), "resnet34"),
        (ModelRequest(model="resnet50", variant=Variant.V1), "resnet50-v1"),
        (ModelRequest(model="plain-34"), "plain34"),
        (ModelRequest(model="ResNet18", depth=18), "resnet18"),
        (ModelRequest(depth=20, plain=True), "plain20"),
        (ModelRequest(model="vgg19"), "vgg19"),
        (ModelRequest(model="a.b:net"), "net"),
    ],
)
def test_spec_names(request_: ModelRequest, name: str) -> None:
    assert request_.spec().name == name


def test_custom_spec_leaves_classes_open() -> None:
    spec = ModelRequest(model="a.b:net", image_size=64).spec()
    assert (spec.family, spec.num_classes, spec.image_size) == (Family.CUSTOM, 0, 64)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (ModelRequest(), "no network was named"),
        (ModelRequest(depth=33), "no ResNet has depth 33"),
        (ModelRequest(model="resnet18", depth=34), "differ"),
        (ModelRequest(model="alexnet"), "no model is called 'alexnet'"),
        (ModelRequest(model="vgg19", depth=34), "--depth is for ResNets"),
        (ModelRequest(model="vgg19", stem=Stem.CIFAR), "--stem is for ResNets"),
        (ModelRequest(model="a:b", plain=True), "--plain is for ResNets"),
        (ModelRequest(depth=34, plain=True, shortcut=Shortcut.B), "plain net has no shortcuts"),
        (ModelRequest(depth=34, num_classes=0), "classes must be at least 1"),
        (ModelRequest(depth=34, image_size=-1), "image size must be at least 1"),
    ],
)
def test_contradictions_are_refused(request_: ModelRequest, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        request_.spec()
    assert "\n" not in str(caught.value)
