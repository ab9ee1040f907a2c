"""Our own weights, written the way other projects write theirs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from resnet_deploy.models.registry import build, skeleton
from resnet_deploy.spec import ModelSpec

State = dict[str, Tensor]


def state_of(spec: ModelSpec, seed: int = 1) -> State:
    return dict(build(spec, seed=seed).state_dict())


def shapes_of(spec: ModelSpec) -> State:
    """All zeros, with names and shapes of the net; next to nothing in a file."""
    zero = torch.zeros(())
    return {k: zero.expand(v.shape) for k, v in skeleton(spec, "meta").state_dict().items()}


def renamed(state: Mapping[str, Tensor], *rules: tuple[str, str]) -> State:
    result = {}
    for name, tensor in state.items():
        key = name
        for pattern, replacement in rules:
            key = re.sub(pattern, replacement, key)
        result[key] = tensor
    return result


def hugging_face(state: Mapping[str, Tensor]) -> State:
    def block(match: re.Match[str]) -> str:
        return f"resnet.encoder.stages.{int(match[1]) - 1}.layers.{match[2]}."

    def layer(match: re.Match[str]) -> str:
        kind = "convolution" if match[1] == "conv" else "normalization"
        return f".layer.{int(match[2]) - 1}.{kind}."

    result = {}
    for name, tensor in state.items():
        key = re.sub(r"^conv1\.", "resnet.embedder.embedder.convolution.", name)
        key = re.sub(r"^bn1\.", "resnet.embedder.embedder.normalization.", key)
        key = re.sub(r"^layer(\d)\.(\d+)\.", block, key)
        key = re.sub(r"\.(conv|bn)(\d)\.", layer, key)
        key = key.replace(".downsample.0.", ".shortcut.convolution.")
        key = key.replace(".downsample.1.", ".shortcut.normalization.")
        result[re.sub(r"^fc\.", "classifier.1.", key)] = tensor
    return result


def write_config(folder: Path, *, v1: bool, labels: list[str]) -> None:
    config = {
        "downsample_in_bottleneck": v1,
        "id2label": {str(index): label for index, label in enumerate(labels)},
    }
    (folder / "config.json").write_text(json.dumps(config))


def same_logits(first: nn.Module, second: nn.Module, size: int) -> bool:
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return torch.equal(first(x), second(x))
