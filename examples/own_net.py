"""A training loop like many: plain PyTorch, a small residual net, a checkpoint at the end.

``python examples/own_net.py images signs.pth`` takes about ten seconds. Nothing in it knows of
resnet-deploy, and the file that it writes says of the pictures neither their size nor that they
were scaled to -1 to 1.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, inside: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inside, planes, 1, stride, bias=False), nn.BatchNorm2d(planes)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps of the next block."""
        inner = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(inner)) + self.shortcut(x))


class Net(nn.Module):
    """Three stages of one block each, for pictures of 32x32 pixels."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16, 1))
        self.layer2 = nn.Sequential(Block(16, 32, 2))
        self.layer3 = nn.Sequential(Block(32, 64, 2))
        self.linear = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of pictures (N, 3, 32, 32)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits


def read(folder: Path) -> tuple[Tensor, Tensor]:
    """Return pictures (N, 3, 32, 32), the middle of each, from -1 to 1, and their classes."""
    pictures, classes = [], []
    for number, one in enumerate(sorted(folder.iterdir())):
        for path in sorted(one.iterdir()):
            picture = Image.open(path).convert("RGB")
            pictures.append(np.asarray(picture)[:, 4:36] / 127.5 - 1)
            classes.append(number)
    array = np.stack(pictures).astype(np.float32).transpose(0, 3, 1, 2)
    return torch.from_numpy(array.copy()), torch.tensor(classes)


def main(images: Path, out: Path, epochs: int = 8) -> None:
    """Train, print the accuracy on the test images, and save."""
    torch.manual_seed(0)
    x, y = read(images / "train")
    test_x, test_y = read(images / "test")
    net = Net(classes=int(y.max()) + 1)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    for epoch in range(epochs):
        net.train()
        for batch in torch.randperm(len(x)).split(40):
            optimizer.zero_grad()
            F.cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            accuracy = (net(test_x).argmax(1) == test_y).float().mean().item()
        print(f"epoch {epoch + 1}: {accuracy:.0%} of the test images")
    torch.save({"net": net.state_dict(), "acc": accuracy, "epoch": epochs}, out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
