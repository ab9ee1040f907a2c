"""Writes an ONNX file of a net by timm's or torchvision's code. Needs them, not this project.

``python bench/foreign_nets.py timm:NAME OUT.onnx --size 224 --opset 13`` draws the weights from a
seed and makes them look trained: the gammas and betas of BatchNorms are drawn, their statistics
come from pictures, and what starts at zero or close to it, such as the scale of a residual branch,
gets a size. The file is what ``torch.onnx.export`` writes, by the older exporter or with
``--dynamo`` by the newer.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PICTURES, BATCH = 16, 8
NEARLY_ZERO = 1e-3


def built(name: str) -> nn.Module:
    """Return the net that ``timm:NAME`` or ``torchvision:NAME`` means, without trained weights."""
    package, _, model = name.partition(":")
    if package == "timm":
        import timm

        return timm.create_model(model, pretrained=False)
    from torchvision import models

    own = {"init_weights": False} if model in ("googlenet", "inception_v3") else {}
    return models.get_model(model, weights=None, **own)


def pictures(folder: Path | None, size: int) -> torch.Tensor:
    """Return the first pictures of ``folder`` as (N, 3, size, size), or noise without one."""
    if folder is None:
        return torch.randn(PICTURES, 3, size, size)
    kept = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file())[:PICTURES]:
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB").resize((size, size)), np.float32)
        kept.append((pixels / 255 - MEAN) / STD)
    return torch.from_numpy(np.stack(kept).transpose(0, 3, 1, 2).astype(np.float32))


@torch.no_grad()
def look_trained(net: nn.Module, seen: torch.Tensor) -> nn.Module:
    """Give ``net`` the statistics of what it has seen, and nothing that is nearly zero."""
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # a plain mean over the batches
            module.reset_running_stats()
            module.weight.copy_(0.5 + torch.rand(module.weight.shape))
            module.bias.copy_(0.2 * torch.randn(module.bias.shape))
        elif isinstance(module, nn.Dropout):
            module.p = 0.0
    for name, parameter in net.named_parameters():
        scale = parameter.ndim in (1, 3) and name.rpartition(".")[2] in ("gamma", "layer_scale")
        if scale and float(parameter.abs().max()) < NEARLY_ZERO:
            parameter.copy_(0.3 + 0.3 * torch.rand(parameter.shape))
    net.train()
    for batch in seen.split(BATCH):
        net(batch)
    return net.eval()


def write(net: nn.Module, path: Path, size: int, opset: int, dynamo: bool) -> None:
    """Export ``net`` with a batch size of any number."""
    named = {"input_names": ["input"], "output_names": ["output"], "opset_version": opset}
    example = (torch.randn(2, 3, size, size),)
    if dynamo:
        batch = ({0: torch.export.Dim("batch")},)
        torch.onnx.export(
            net, example, path, dynamo=True, dynamic_shapes=batch, external_data=False, **named
        )
    else:
        axes = {"input": {0: "batch"}, "output": {0: "batch"}}
        torch.onnx.export(net, example, path, dynamo=False, dynamic_axes=axes, **named)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", help="timm:NAME or torchvision:NAME")
    parser.add_argument("out", type=Path)
    parser.add_argument("--photos", type=Path, help="for the statistics; else noise")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--opset", type=int, default=13)
    parser.add_argument("--dynamo", action="store_true", help="the newer exporter")
    given = parser.parse_args()
    torch.manual_seed(0)
    net = look_trained(built(given.name), pictures(given.photos, given.size))
    write(net, given.out, given.size, given.opset, given.dynamo)


if __name__ == "__main__":
    main()
