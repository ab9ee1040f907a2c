"""A net fed and built in many ways on the same pictures, each way run once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resnet_deploy.batchnorm_witness.batchnorm_inputs import divergences
from resnet_deploy.batchnorm_witness.hypotheses import Guess, TrainingCrop, fed, scalings
from resnet_deploy.data.calibration import CalibrationImages
from resnet_deploy.errors import SpecError, one_line
from resnet_deploy.models.registry import skeleton
from resnet_deploy.spec import ChannelOrder, InputContract, InputFormat, ModelSpec

_BATCH_PIXELS, _LARGEST_BATCH = 8 * 224 * 224, 64
"""What bounds the memory: of a ResNet-50, about 30 MB a picture of 224x224 are alive at once."""


@dataclass(frozen=True)
class Feeding:
    """How pictures become the input: channel order, the name of a scaling, and crop."""

    order: ChannelOrder
    scaling: str
    crop: TrainingCrop


class Trial:
    """Runs the net of ``held`` and those of other guesses.

    Args:
        module: the net of ``held``.
        images: real pictures; they are kept as bytes.
        contract: how they are held to be fed.
        held: how the net is held to be built; None: there are no other ways.
        rebuild: makes nets of other specs with the same weights.
    """

    def __init__(
        self,
        module: nn.Module,
        images: CalibrationImages,
        contract: InputContract,
        held: Guess | None,
        rebuild: Callable[[ModelSpec], nn.Module],
    ) -> None:
        self._module, self._held, self._rebuild = module, held, rebuild
        self._images, self._contract = images, contract
        self.scalings = scalings(contract)
        self._pixels = _pixels(images)
        self._most = _LARGEST_BATCH
        self._seen: dict[Any, tuple[float, ...]] = {}

    @property
    def held(self) -> Feeding:
        """How pictures are held to be fed."""
        return Feeding(self._contract.channel_order, next(iter(self.scalings)), TrainingCrop.NONE)

    @property
    def pictures(self) -> int:
        """How many there are."""
        return len(self._pixels)

    def layers(self, pictures: int) -> tuple[str, ...]:
        """Return the BatchNorms that remember something, in the order in which they run.

        Raises:
            SpecError: the net can't run on these pictures.
        """
        try:
            return tuple(divergences(self._module, self._batches(self.held, pictures)))
        except RuntimeError:
            self._most = 1  # an ONNX file may take one picture at a time
        try:
            return tuple(divergences(self._module, self._batches(self.held, pictures)))
        except RuntimeError as error:
            raise SpecError(
                f"the net can't run on pictures of shape {self._contract.shape}, so no BatchNorm "
                f"can be asked: {one_line(error)}"
            ) from error

    def with_filter(self, name: str) -> Trial | None:
        """Return the same trial on pictures resized by another filter; None: nothing is resized."""
        images = replace(self._images, preprocess=replace(self._contract, interpolation=name))
        other = Trial(self._module, images, self._contract, self._held, self._rebuild)
        other._most = self._most
        return None if torch.equal(other._pixels, self._pixels) else other

    def run(
        self,
        feeding: Feeding,
        guess: Guess | None,
        last: str | None = None,
        pictures: int | None = None,
    ) -> tuple[float, ...]:
        """Return the divergences of the net of ``guess``, up to the BatchNorm ``last``.

        Raises:
            RuntimeError: it can't run on pictures of this size.
            SpecError: it can't be built for them.
        """
        key = (feeding, guess, last, pictures)
        if key not in self._seen:
            net = self._module
            if guess is not None and guess != self._held:
                net = guess.build(self._rebuild)
            found = divergences(net, self._batches(feeding, pictures), last=last)
            self._seen[key] = tuple(found.values())
        return self._seen[key]

    def _batches(self, feeding: Feeding, pictures: int | None) -> Iterator[Tensor]:
        contract = self.scalings[feeding.scaling].over(self._contract, feeding.order)
        chosen = self._pixels[:pictures]
        size = max(1, min(self._most, _BATCH_PIXELS // contract.pixels))
        for start in range(0, len(chosen), size):
            yield fed(chosen[start : start + size], contract, feeding.crop)


def rebuilt(module: nn.Module) -> Callable[[ModelSpec], nn.Module]:
    """Return what makes nets of other specs with the weights of ``module``, which they share."""

    def build(spec: ModelSpec) -> nn.Module:
        other = skeleton(spec)
        other.load_state_dict(module.state_dict(), strict=False, assign=True)
        return other.eval()

    return build


def _pixels(images: CalibrationImages) -> Tensor:
    """Return the pictures as uint8 ``(N, C, H, W)`` in RGB or grey."""
    order = images.preprocess.channel_order
    plain = replace(
        images.preprocess,
        format=InputFormat.UINT8_NCHW,
        channel_order=ChannelOrder.RGB if order is ChannelOrder.BGR else order,
        resize_in_graph=False,
    )
    return torch.from_numpy(np.concatenate(list(replace(images, preprocess=plain))))
