"""What flows into ``export``: a PyTorch module with weights, and all that is known of it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from resnet_deploy.artifact.card import WeightsSource
from resnet_deploy.artifact.weights_card import WeightsCard
from resnet_deploy.spec import InputContract, ModelSpec

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network with its weights: eval mode, CPU, float32.

    Args:
        module: takes ``(N, C, H, W)`` float32, returns logits ``(N, classes)``; BatchNorm as it
            was trained.
        spec: what it is.
        preprocess: from an image to its input.
        source: where the weights came from.
        labels: empty, or one name per class.
        licence: of the weights, an SPDX expression; empty when unknown.
        card: what training wrote beside the weights.
        assumed: what of the network nothing told, by option and in words; ``preprocess`` says it
            of pictures.
        notices: lines worth telling a user.
    """

    module: nn.Module
    spec: ModelSpec
    preprocess: InputContract
    source: WeightsSource
    labels: tuple[str, ...] = ()
    licence: str = ""
    card: WeightsCard | None = None
    assumed: dict[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    @property
    def assumption(self) -> str:
        """What is assumed of the network and of its pictures, in one line; empty: nothing."""
        untold = self.preprocess.assumed
        said = list(self.assumed.values())
        if untold:
            guess = self.preprocess.as_options(untold)
            said.append(
                f"how pictures are prepared (see the line pictures; if it is right: {guess})"
            )
        name = self.source.file or self.spec.name
        return f"{name} does not say, so assumed: {', '.join(said)}" if said else ""

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        # The reports are a layer above this one, which must not import them.
        html: str = importlib.import_module("resnet_deploy.report").notebook(self)
        return html
