"""A student's ResNet-18 and this package's train, and become verified int8 files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_deploy.spec import Stem
from resnet_deploy.spec.model_request import ModelRequest
from resnet_deploy.spec.training import Augment, Recipe
from tests.support.exports import exported
from tests.support.training_runs import made_up, request, run

RECIPE = Recipe(epochs=1, batch_size=8, lr=0.01, augment=Augment.CROP_FLIP)


class ResBlk(nn.Module):
    def __init__(self, ch_in: int, ch_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(ch_in, ch_out, kernel_size=3, stride=stride, padding=1)
        self.bn1 = nn.BatchNorm2d(ch_out)
        self.conv2 = nn.Conv2d(ch_out, ch_out, kernel_size=3, stride=1, padding=1)
        self.bn2 = nn.BatchNorm2d(ch_out)
        self.extra = nn.Sequential()
        if ch_out != ch_in or stride != 1:
            self.extra = nn.Sequential(
                nn.Conv2d(ch_in, ch_out, kernel_size=1, stride=stride), nn.BatchNorm2d(ch_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(self.extra(x) + out)


class ResNet18(nn.Module):
    def __init__(self, block: type[ResBlk], layers: list[int], num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=3, stride=3, padding=0), nn.BatchNorm2d(64)
        )
        blocks: list[nn.Module] = []
        channels = 64
        for stage, count in enumerate(layers):
            wide = 64 * 2**stage
            for index in range(count):
                blocks.append(block(channels, wide, stride=2 if stage and not index else 1))
                channels = wide
        self.blocks = nn.Sequential(*blocks)
        self.outlayer = nn.Linear(512, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.relu(self.conv1(x)))
        x = F.adaptive_avg_pool2d(x, (1, 1))
        logits: Tensor = self.outlayer(x.view(x.size(0), -1))
        return logits


def make() -> nn.Module:
    return ResNet18(ResBlk, [2, 2, 2, 2], 10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("net", "size"),
    [
        (ModelRequest(depth=18, image_size=32), 32),
        (ModelRequest(depth=18, image_size=32, stem=Stem.CIFAR), 32),
        (ModelRequest(model=f"{__name__}:make", image_size=32), 32),
        (ModelRequest(model=f"{__name__}:make", image_size=96), 96),
        (ModelRequest(depth=18, image_size=96), 96),
    ],
    ids=["resnet18-32", "resnet18-cifar-stem", "student-32", "student-96", "resnet18-96"],
)
def test_it_trains_and_deploys(net: ModelRequest, size: int, tmp_path: Path) -> None:
    classes = tuple("abcdefghij")
    data = made_up(tmp_path / "data.npz", train=16, test=10, size=size, classes=classes)
    out = tmp_path / "run"
    result = run(request(data, out, model=net, recipe=RECIPE))
    assert result.epochs[0].steps == 2
    deployment = exported(
        out / "deployed",
        model=net.model if net.is_custom else None,
        weights=result.files["model"],
        calibration=data,
        simplify=size == 96,  # each net once
    )
    assert deployment.passed
    assert {path.suffix for path in map(Path, deployment.files.values())} == {".onnx"}
