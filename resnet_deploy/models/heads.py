"""What stands behind the last map: a global pool, and layers up to the logits.

A head is found in a state dict by the indices of ``fc``, which is one linear layer or a Sequential.
Layers without weights leave gaps in the indices.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from resnet_deploy.errors import CheckpointError
from resnet_deploy.models.layouts import State
from resnet_deploy.spec import Design, HeadKind, HeadLayer
from resnet_deploy.spec.model_request import OWN_CODE

_KEY = re.compile(r"fc\.(?:(\d{1,3})\.)?(weight|bias|running_mean|running_var|num_batches_tracked)")


class GlobalPool(nn.Module):
    """The maximum of each map and behind them the means: ``(N, C, H, W) -> (N, 2 C, 1, 1)``.

    As fastai's ``AdaptiveConcatPool2d``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.max = nn.AdaptiveMaxPool2d((1, 1))
        self.mean = nn.AdaptiveAvgPool2d((1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.max(x), self.mean(x)), 1)


def head_module(design: Design) -> nn.Module:
    """Return the layers behind the pool, with all of ``design``'s names."""
    inputs = design.pooled
    layers: dict[str, nn.Module] = {}
    for layer in design.head:
        if layer.kind is HeadKind.LINEAR:
            layers[layer.path] = nn.Linear(inputs, layer.outputs)
        elif layer.kind is HeadKind.BATCHNORM:
            layers[layer.path] = nn.BatchNorm1d(layer.outputs)
        else:
            layers[layer.path] = nn.ReLU()
        inputs = layer.outputs
    if set(layers) == {""}:
        return layers[""]
    # A name of its own keeps a head apart from the layers that are looked for by their names.
    head = nn.Sequential()
    for path, module in layers.items():
        head.add_module(path, module)
    return head


def with_plain_head(state: State) -> State:
    """Return ``state`` with a head of linear layers: it computes the same.

    A 1x1 convolution on a pooled map is a linear layer, one layer with or without Dropout in front
    is one layer, and without a bias its bias is zero.
    """
    tensors = {}
    for key, tensor in state.items():
        pooled = key.startswith("fc.") and tensor.ndim == 4 and tensor.shape[2:] == (1, 1)
        tensors[key] = tensor.flatten(1) if pooled else tensor
    weights = [key for key in tensors if key.startswith("fc.") and key.endswith(".weight")]
    for key in weights:
        bias = key.removesuffix("weight") + "bias"
        if tensors[key].ndim == 2 and bias not in tensors:
            tensors[bias] = tensors[key].new_zeros(len(tensors[key]))
    prefix = weights[0].removesuffix("weight") if len(weights) == 1 else ""
    if prefix and all(key.startswith(prefix) for key in tensors if key.startswith("fc.")):
        return {
            "fc." + key.removeprefix(prefix) if key.startswith(prefix) else key: tensor
            for key, tensor in tensors.items()
        }
    return tensors


def infer_head(state: State, name: str) -> tuple[HeadLayer, ...]:
    """Return the layers of the head of ``state``; empty: it has none.

    Behind every linear layer, at the first gap in the indices before the next one, a ReLU is
    assumed; other gaps are Dropout, which does nothing, or layers that reshape.

    Raises:
        CheckpointError: it has others; ``name`` is that of its file.
    """
    kinds = dict(sorted(_weighted_layers(state, name)))
    layers: list[HeadLayer] = []
    active, before = False, -1
    for index, kind in kinds.items():
        path = "" if index < 0 else str(index)
        if layers and index > before + 1 and active:
            relu = str(before + 1)
            layers.append(HeadLayer(path=relu, kind=HeadKind.RELU, outputs=layers[-1].outputs))
            active = False
        outputs = len(state[f"fc.{path}.weight" if path else "fc.weight"])
        layers.append(HeadLayer(path=path, kind=kind, outputs=outputs))
        active, before = active or kind is HeadKind.LINEAR, index
    if layers and layers[-1].kind is not HeadKind.LINEAR:
        raise CheckpointError(
            f"{name} has a head that ends in {layers[-1].kind.value} (fc.{layers[-1].path}), not "
            f"in classes: take its features with --output embedding, or {OWN_CODE}"
        )
    return tuple(layers)


def _weighted_layers(state: State, name: str) -> Iterator[tuple[int, HeadKind]]:
    """Yield index and kind of every layer of ``fc`` with tensors; -1 is ``fc`` itself."""
    for key in (key for key in state if key.startswith("fc.")):
        found = _KEY.fullmatch(key)
        if found is None:
            raise CheckpointError(
                f"{name} has a head of other layers than those of a Sequential ({key!r}): "
                f"{OWN_CODE}"
            )
        if found[2] != "weight":
            continue
        prefix, tensor = key.removesuffix("weight"), state[key]
        kind = HeadKind.LINEAR if tensor.ndim == 2 else HeadKind.BATCHNORM
        if tensor.ndim not in (1, 2) or (tensor.ndim == 1 and f"{prefix}running_var" not in state):
            raise CheckpointError(
                f"{name} has a layer in its head that is not built here ({key!r}, "
                f"{tuple(tensor.shape)}): {OWN_CODE}"
            )
        yield int(found[1] or -1), kind
