"""The layers of a module in the order in which they run, as rows for Table 1."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One operation that has weights, or pools. ``size`` is its output's height and width."""

    path: str
    text: str
    size: tuple[int, ...]
    parameters: int = 0
    macs: int = 0


def layers_of_module(module: nn.Module, image_size: int, in_channels: int = 3) -> list[Layer]:
    """Run ``module`` once on one image, and return its layers; on the meta device too."""
    import torch

    layers: list[Layer] = []
    owned: set[int] = set()

    def record(path: str, child: nn.Module, inputs: Any, output: Any) -> None:
        if not isinstance(output, torch.Tensor):
            return
        # A weight that two modules share is one weight.
        own = [p for p in child.parameters(recurse=False) if id(p) not in owned]
        owned.update(map(id, own))
        text, macs = _text_and_macs(child, output)
        if own or text:
            layers.append(
                Layer(
                    path=path,
                    text=text,
                    size=tuple(output.shape[2:]),
                    parameters=sum(p.numel() for p in own),
                    macs=macs,
                )
            )

    hooks = [
        child.register_forward_hook(partial(record, path)) for path, child in module.named_modules()
    ]
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    with torch.no_grad():
        module(torch.zeros(1, in_channels, image_size, image_size, device=device))
    for hook in hooks:
        hook.remove()
    return layers


def _text_and_macs(module: nn.Module, output: Tensor) -> tuple[str, int]:
    from torch import nn

    if isinstance(module, nn.Conv2d):
        text = conv_text(module.kernel_size, module.out_channels, module.stride, module.groups)
        return text, output.numel() * module.weight[0].numel()
    if isinstance(module, nn.Linear):
        return f"{module.out_features}-d fc", output.numel() * module.in_features
    if isinstance(module, nn.MaxPool2d):
        return pool_text(_pair(module.kernel_size), _pair(module.stride)), 0
    return "average pool" if isinstance(module, nn.AdaptiveAvgPool2d) else "", 0


def conv_text(kernel: tuple[int, ...], channels: int, stride: tuple[int, ...], groups: int) -> str:
    """Return a convolution as Table 1 writes it: ``7x7, 64, stride 2``."""
    grouped = f", {groups} groups" if groups > 1 else ""
    return f"{'x'.join(map(str, kernel))}, {channels}{grouped}{_stride_text(stride)}"


def pool_text(kernel: tuple[int, ...], stride: tuple[int, ...]) -> str:
    """Return a max-pool as Table 1 writes it: ``3x3 max pool, stride 2``."""
    return f"{'x'.join(map(str, kernel))} max pool{_stride_text(stride)}"


def _stride_text(stride: tuple[int, ...]) -> str:
    return f", stride {stride[0]}" if max(stride) > 1 else ""


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)
