"""What weighs the channels of a residual branch by what the whole map holds.

Sources: J. Hu et al., Squeeze-and-Excitation Networks (arXiv:1709.01507); Q. Wang et al., ECA-Net
(arXiv:1910.03151); timm's ``layers/squeeze_excite.py`` and ``layers/eca.py``, with their names.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from resnet_deploy.models.layouts import State
from resnet_deploy.spec import Attention


class SqueezeExcitation(nn.Module):
    """Global mean, 1x1, ReLU, 1x1, sigmoid, and a product: ``(N, C, H, W)`` to the same.

    ``relu_first`` is Cadene's basic block, which applies a ReLU to its branch before.
    """

    def __init__(self, channels: int, squeezed: int, *, relu_first: bool = False) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc1 = nn.Conv2d(channels, squeezed, kernel_size=1)
        self.fc2 = nn.Conv2d(squeezed, channels, kernel_size=1)
        self.relu_first = relu_first

    def forward(self, x: Tensor) -> Tensor:
        if self.relu_first:
            x = torch.relu(x)
        # A function and not a module: what else the net has in place of ReLU, this is one.
        weights = self.fc2(torch.relu(self.fc1(self.pool(x))))
        return x * torch.sigmoid(weights)


class EfficientChannelAttention(nn.Module):
    """Global mean, a convolution over neighbouring channels, sigmoid, and a product."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d((1, 1))
        self.conv = nn.Conv1d(1, 1, kernel_size=kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        row = self.conv(self.pool(x).squeeze(-1).transpose(1, 2))
        return x * torch.sigmoid(row).transpose(1, 2).unsqueeze(-1)


def with_attention_biases(state: State) -> State:
    """Return ``state`` with a bias of zero where layers of squeeze-and-excitation have none."""
    missing = {
        key.removesuffix("weight") + "bias": tensor.new_zeros(len(tensor))
        for key, tensor in state.items()
        if key.endswith((".se.fc1.weight", ".se.fc2.weight"))
    }
    return state if any(key in state for key in missing) else {**state, **missing}


def attention(kind: Attention, channels: int, squeezed: int) -> nn.Module | None:
    """Return what weighs ``channels``; None: nothing does."""
    if kind is Attention.NONE:
        return None
    if kind is Attention.ECA:
        return EfficientChannelAttention(squeezed)
    return SqueezeExcitation(channels, squeezed, relu_first=kind is Attention.SE_RELU)
