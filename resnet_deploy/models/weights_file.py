"""One safetensors file of trained weights with its card; see https://github.com/huggingface/safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.artifact.weights_card import WEIGHTS_CARD_KEY, WeightsCard
from resnet_deploy.errors import CheckpointError
from resnet_deploy.models.dependencies import require

MODEL_FILE = "model.safetensors"
"""The weights in the folder of a training run."""

CARD_ENTRY = "card"
"""Key of the card's JSON in a training checkpoint, and in what :func:`read_weights` returns."""


def write_weights(path: Path, state: Mapping[str, Tensor], card: WeightsCard) -> None:
    """Write ``state`` and its ``card``, whole or not at all; the same input gives the same bytes.

    Args:
        path: the file.
        state: tensors of any device, memory format and float type; floats become float32.
        card: of the network that the tensors are of.

    Raises:
        ArtifactError: the file can't be written.
        MissingDependencyError: safetensors is not installed.
    """
    require("safetensors", f"writing {path.name}")
    from safetensors.torch import save

    # One entry: safetensors does not promise an order of several.
    metadata = {WEIGHTS_CARD_KEY: card.to_json()}
    write_atomically(path, save({key: _plain(one) for key, one in state.items()}, metadata))


def card_of(path: Path, content: Any) -> WeightsCard | None:
    """Return the card in the ``content`` of the weights file ``path``; None where there is none.

    Raises:
        CheckpointError: it is damaged, or of a format this version does not read.
    """
    text = content.get(CARD_ENTRY) if isinstance(content, Mapping) else None
    if not isinstance(text, str):
        return None
    try:
        return WeightsCard.from_json(text)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _plain(tensor: Tensor) -> Tensor:
    """Return ``tensor`` as a file holds it: in rows, sharing no memory, floats of 32 bits."""
    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to("cpu", dtype).clone(memory_format=torch.contiguous_format)
