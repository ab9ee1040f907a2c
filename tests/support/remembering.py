"""Nets whose BatchNorms remember pictures that were fed under a known contract."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from resnet_deploy.data.arrays import ArrayDataset
from resnet_deploy.data.calibration import CalibrationImages, calibration_images
from resnet_deploy.models.registry import build
from resnet_deploy.spec import InputContract, ModelSpec

SIDE = 16


def coloured_pictures(count: int, seed: int) -> ArrayDataset:
    """Return smooth pictures that are more red than blue, as most photos are, in uint8."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, 5, 5, generator=generator)
    shared = torch.randn(count, 1, 5, 5, generator=generator)
    smooth = F.interpolate(coarse + 2 * shared, size=SIDE, mode="bilinear")
    levels = smooth * torch.tensor([38.0, 30.0, 20.0]).reshape(1, 3, 1, 1)
    levels += torch.tensor([150.0, 115.0, 80.0]).reshape(1, 3, 1, 1)
    levels += 8 * torch.randn(levels.shape, generator=generator)
    pixels = levels.clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    return ArrayDataset(name="coloured", images=np.ascontiguousarray(pixels.numpy()))


def pictures(contract: InputContract, count: int = 96, seed: int = 1) -> CalibrationImages:
    return calibration_images(coloured_pictures(count, seed), contract, samples=count)


def remember(module: nn.Module, contract: InputContract, count: int = 192) -> nn.Module:
    """Let the BatchNorms of ``module`` see pictures as ``contract`` says, once, in place."""
    batches = pictures(replace(contract, learned={}), count, seed=0)
    inputs = torch.cat([torch.from_numpy(batch) for batch in batches])
    for child in module.modules():
        if isinstance(child, nn.BatchNorm2d):
            child.momentum = None  # the mean of all batches, which are one
    module.train()
    with torch.no_grad():
        module(inputs)
    return module.eval()


def remembering(spec: ModelSpec, contract: InputContract, seed: int = 0) -> nn.Module:
    return remember(build(spec, seed=seed), contract)


def grey_in_colour(count: int) -> NDArray[np.uint8]:
    """Return pictures whose three channels are equal."""
    pixels = coloured_pictures(count, seed=2).images[..., :1]
    return np.ascontiguousarray(np.repeat(pixels, 3, axis=3))
