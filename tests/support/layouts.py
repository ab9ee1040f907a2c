"""Tiny residual nets by their canonical keys, and the same under other projects' names."""

from __future__ import annotations

import torch

from tests.support.states import State, renamed


def canonical(
    *, bottleneck: bool = False, deep: bool = False, se: bool = False, avg_down: bool = False
) -> State:
    """Tensors of a net of four stages with a block each, 4 to 32 channels wide, and 5 classes."""
    generator = torch.Generator().manual_seed(0)
    state: State = {}

    def conv(name: str, outputs: int, inputs: int, kernel: int) -> None:
        state[f"{name}.weight"] = torch.randn(outputs, inputs, kernel, kernel, generator=generator)

    def norm(name: str, channels: int) -> None:
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.{leaf}"] = torch.rand(channels, generator=generator)
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    if deep:
        conv("conv1.0", 2, 3, 3)
        norm("conv1.1", 2)
        conv("conv1.3", 2, 2, 3)
        norm("conv1.4", 2)
        conv("conv1.6", 4, 2, 3)
    else:
        conv("conv1", 4, 3, 7)
    norm("bn1", 4)
    inputs, factor = 4, 4 if bottleneck else 1
    for stage in range(4):
        width = 4 << stage
        outputs, name = width * factor, f"layer{stage + 1}.0"
        kernels = (1, 3, 1) if bottleneck else (3, 3)
        sizes = (inputs, *([width] * (len(kernels) - 1)), outputs)
        for n, kernel in enumerate(kernels, start=1):
            conv(f"{name}.conv{n}", sizes[n], sizes[n - 1], kernel)
            norm(f"{name}.bn{n}", sizes[n])
        if se:
            conv(f"{name}.se.fc1", 2, outputs, 1)
            state[f"{name}.se.fc1.bias"] = torch.randn(2, generator=generator)
            conv(f"{name}.se.fc2", outputs, 2, 1)
            state[f"{name}.se.fc2.bias"] = torch.randn(outputs, generator=generator)
        if outputs != inputs:
            place = 1 if avg_down else 0
            conv(f"{name}.downsample.{place}", outputs, inputs, 1)
            norm(f"{name}.downsample.{place + 1}", outputs)
        inputs = outputs
    state["fc.weight"] = torch.randn(5, inputs, generator=generator)
    state["fc.bias"] = torch.randn(5, generator=generator)
    return state


def without_head(state: State) -> State:
    return {key: tensor for key, tensor in state.items() if not key.startswith("fc.")}


def preactivated() -> State:
    """The same with BatchNorm in front, projections without one, and a last BatchNorm."""
    state = {
        key: tensor
        for key, tensor in canonical().items()
        if not key.startswith("bn1.") and ".downsample.1." not in key
    }
    for stage in range(2, 5):
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            state[f"layer{stage}.0.bn1.{leaf}"] = state[f"layer{stage - 1}.0.bn2.{leaf}"]
    for leaf in ("weight", "bias", "running_mean", "running_var"):
        state[f"norm.{leaf}"] = state[f"layer4.0.bn2.{leaf}"]
    return {key: value for key, value in state.items() if not key.endswith("tracked")}


def prefixed(state: State, prefix: str) -> State:
    return renamed(state, ("^", prefix))
