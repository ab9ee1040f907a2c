"""He initialisation (He et al., arXiv:1502.01852), and synthetic BatchNorm statistics.

An untrained net is for measuring speed and for tests. A freshly built one has BatchNorms that
do nothing and biases that are all zero, so that wrong folding or mixed-up biases would go
unseen. Here each is drawn at random, in a range that keeps the signal alive through 152 layers:
running variances are near what the layer really produces, residual branches end in small scales.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from resnet_deploy.models.attention import SqueezeExcitation
from resnet_deploy.models.blocks import BasicBlock, Bottleneck
from resnet_deploy.models.iresnet import IResNetBlock
from resnet_deploy.models.preactivation import PreActBlock
from resnet_deploy.models.resnet import ResNet
from resnet_deploy.models.shortcuts import ZeroPadShortcut

_SECOND_MOMENT = 0.5
"""E[x^2] after a ReLU of a standard normal: what a convolution's input is taken to be."""

_QUIET = 0.3
"""Scale of the last convolution of a branch that ends in it."""

Block = BasicBlock | Bottleneck | PreActBlock | IResNetBlock

_LOGIT_GAIN = 4.0
"""Scale of the last linear layer; makes logits of a few units."""


def initialize(module: nn.Module, seed: int) -> None:
    """Draw every parameter and BatchNorm statistic of ``module`` from ``seed``, in place.

    Convolutions: normal with variance 2 / fan_out, as in the paper's code and torchvision. The
    global random state is neither used nor changed.
    """
    generator = torch.Generator().manual_seed(seed)
    blocks = [m for m in module.modules() if isinstance(m, Block)]
    branches = [block for block in blocks if not _is_plain(block)]
    residual = bool(branches)
    ends = {id(_branch_end(block)) for block in branches}
    linears = [m for m in module.modules() if isinstance(m, nn.Linear)]
    arriving = _arriving(module, blocks)
    gates = {id(m.fc2) for m in module.modules() if isinstance(m, SqueezeExcitation)}

    # Shortcuts carry the input through, so a residual net bears larger offsets than a plain
    # one, where they would pile up until all inputs give the same logits.
    offset = 0.1 if residual else 0.01
    produced = 1.0
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d):
                produced = _initialize_conv(layer, generator, centred=residual, offset=offset)
                if id(layer) in ends:
                    layer.weight *= _QUIET
                if id(layer) in gates and layer.bias is not None:
                    layer.bias.uniform_(-1, 1, generator=generator)
            elif isinstance(layer, nn.Conv1d):
                layer.weight.normal_(0, layer.weight.numel() ** -0.5, generator=generator)
            elif isinstance(layer, nn.PReLU):
                layer.weight.uniform_(0.1, 0.4, generator=generator)
            elif isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
                scale = (0.2, 0.4) if id(layer) in ends else (0.8, 1.2)
                given = arriving.get(id(layer), produced)
                _initialize_norm(layer, generator, given, scale, offset)
            elif isinstance(layer, nn.Linear):
                gain = _LOGIT_GAIN if layer is linears[-1] else math.sqrt(2)
                layer.weight.normal_(0, gain / math.sqrt(layer.in_features), generator=generator)
                layer.bias.uniform_(-offset, offset, generator=generator)
                produced = gain**2


def _is_plain(block: Block) -> bool:
    """Whether it is of the paper's plain nets; later blocks are residual always."""
    return isinstance(block, BasicBlock | Bottleneck) and block.plain


def _branch_end(block: Block) -> nn.BatchNorm2d | nn.Conv2d:
    """Return the last layer of a residual branch, which is to add little to the map."""
    if isinstance(block, PreActBlock):
        return block.conv2 if block.conv3 is None else block.conv3
    return block.last_norm


def _arriving(module: nn.Module, blocks: list[Block]) -> dict[int, float]:
    """Return the variance of what a BatchNorm is given that follows an Add, by its id.

    A branch adds a tenth; a map after a projection starts at 1.
    """
    variance, found = 1.0, {}
    for block in blocks:
        if isinstance(block, PreActBlock | IResNetBlock):
            found[id(block.bn1)] = variance
        variance = variance + 0.1 if block.downsample is None else 1.1
    for name in ("norm", "bn2"):
        last = getattr(module, name, None)
        if isinstance(module, ResNet) and isinstance(last, nn.BatchNorm2d):
            found[id(last)] = variance
    return found


def initialize_for_training(module: nn.Module, seed: int, *, zero_init: bool = False) -> None:
    """Draw every parameter of ``module`` from ``seed`` as at the start of a training, in place.

    Convolutions: normal with variance 2 / fan_out; BatchNorms do nothing yet; linear layers as
    PyTorch draws them. With ``zero_init`` the last BatchNorm of every residual branch starts with a
    gamma of 0, so that every block starts as the identity (Goyal et al., arXiv:1706.02677, 5.1), or
    the last convolution of a pre-activated one is zeros, as timm's ``zero_init_last``; but where
    option A adds channels of zeros, the branch is all that gives them a signal.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d):
                fan_out = layer.out_channels // layer.groups * layer.weight[0, 0].numel()
                layer.weight.normal_(0, math.sqrt(2 / fan_out), generator=generator)
                if layer.bias is not None:
                    layer.bias.zero_()
            elif isinstance(layer, nn.Conv1d):
                bound = layer.weight.numel() ** -0.5
                layer.weight.uniform_(-bound, bound, generator=generator)
            elif isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d | nn.PReLU):
                layer.reset_parameters()
            elif isinstance(layer, nn.Linear):
                initialize_head(layer, generator)
        if zero_init:
            for block in module.modules():
                # A channel that is zero everywhere stays so: ReLU has no gradient at 0.
                if (
                    isinstance(block, Block)
                    and not _is_plain(block)
                    and not isinstance(block.downsample, ZeroPadShortcut)
                ):
                    nn.init.zeros_(_branch_end(block).weight)


def initialize_head(linear: nn.Linear, generator: torch.Generator) -> None:
    """Draw a linear layer uniformly within 1 / sqrt(in_features), as PyTorch does, in place."""
    bound = 1 / math.sqrt(linear.in_features)
    with torch.no_grad():
        linear.weight.uniform_(-bound, bound, generator=generator)
        linear.bias.uniform_(-bound, bound, generator=generator)


def _initialize_conv(
    conv: nn.Conv2d, generator: torch.Generator, *, centred: bool, offset: float
) -> float:
    """Fill ``conv`` and return the variance of its output that is to be expected."""
    weight = conv.weight
    taps = weight[0, 0].numel()
    variance = 2 / (conv.out_channels // conv.groups * taps)
    weight.normal_(0, math.sqrt(variance), generator=generator)
    if centred:
        # Inputs after a ReLU have a positive mean; filters that sum to zero don't see it, so
        # the logits tell inputs apart. A plain net would turn chaotic by this: rounding errors
        # would grow from layer to layer.
        weight -= weight.mean(dim=(1, 2, 3), keepdim=True)
    if conv.bias is not None:
        conv.bias.uniform_(-offset, offset, generator=generator)
    moment = 1.0 if conv.in_channels in (1, 3, 4) else _SECOND_MOMENT
    return weight[0].numel() * variance * moment


def _initialize_norm(
    norm: nn.BatchNorm2d | nn.BatchNorm1d,
    generator: torch.Generator,
    produced: float,
    scale: tuple[float, float],
    offset: float,
) -> None:
    def uniform(low: float, high: float) -> Tensor:
        return torch.empty(norm.num_features).uniform_(low, high, generator=generator)

    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_var.copy_(produced * uniform(0.8, 1.25))
    norm.running_mean.copy_(norm.running_var.sqrt() * uniform(-offset, offset))
    norm.weight.copy_(uniform(*scale))
    norm.bias.copy_(uniform(-offset, offset))
