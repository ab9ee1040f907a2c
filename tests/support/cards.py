"""Cards of files and of weights that say everything, and a tiny file with one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.card import Accuracy, Card, WeightsSource
from resnet_deploy.artifact.onnx_file import save
from resnet_deploy.artifact.weights_card import WeightsCard
from resnet_deploy.spec import Family, InputContract, ModelSpec, resnet_spec
from tests.support.graphs import noise, parse


def full_card(**changed: Any) -> WeightsCard:
    """A card that says everything, of a ResNet-8 with 3 classes on 16 pixels."""
    values: dict[str, Any] = {
        "model": resnet_spec(8, num_classes=3, image_size=16),
        "preprocess": InputContract(
            resize=(20, 20),
            height=16,
            width=16,
            mean=(0.5, 0.4, 0.3),
            std=(0.25, 0.2, 0.2),
            interpolation="bicubic",
        ),
        "labels": ("cat", "Hündin", "frog"),
        "accuracy": (
            Accuracy(data="cifar/test", samples=500, of=500, top1=0.8, top5=1.0, data_sha256="cd"),
        ),
        "int8_accuracy": (Accuracy(data="cifar/test", samples=500, top1=0.79),),
        "licence": "Apache-2.0",
        "recipe": {"epochs": 30, "lr": 0.1, "milestones": [0.5], "schedule": "steps"},
        "training": {"command": "resnet-deploy train", "data": "cifar", "seed": 0},
        "activation_ranges": {"layer1.0": (0.0, 3.5)},
        "versions": {"torch": "2.13.0"},
    }
    return WeightsCard(**{**values, **changed})


TINY = "g (float[N,3,4,4] input) => (float[N,3,4,4] logits) { logits = Conv(input, w) }"


def tiny() -> onnx.ModelProto:
    model: onnx.ModelProto = parse(TINY, {"w": noise(3, 3, 1, 1)})
    return model


def card(**changed: object) -> Card:
    values = {
        "model": resnet_spec(20, num_classes=2),
        "preprocess": InputContract.for_size(32),
        "weights": WeightsSource(kind="file", file="r20.th", sha256="ab"),
        "labels": ("cat", "Hündin"),
        "versions": {"torch": "2.13.0"},
        "parity": {"fp32_relative": 1e-6},
    }
    return Card(**{**values, **changed}).with_step("export", {"opset": 17})  # type: ignore[arg-type]


def tiny_card(**changed: object) -> Card:
    """The card of :func:`tiny`."""
    own = {
        "model": ModelSpec(family=Family.CUSTOM, num_classes=2, image_size=4),
        "preprocess": InputContract.for_size(4),
    }
    return card(**{**own, **changed})


def saved(tmp_path: Path) -> Artifact:
    return save(tiny(), tmp_path / "tiny.onnx", tiny_card())
