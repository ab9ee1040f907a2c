"""The card of trained weights: what tensors can't tell, as JSON beside them in the same file.

Training writes it; ``export`` takes from it what would have to be said by hand otherwise. Nothing
in a card depends on the time or the place, so the same input gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from resnet_deploy.artifact.card import Accuracy, long_labels
from resnet_deploy.artifact.card_json import converter, read_card, written_format
from resnet_deploy.errors import CheckpointError, SpecError
from resnet_deploy.spec import InputContract, InputFormat, ModelSpec, Overflow
from resnet_deploy.spec.licence import check_licence

WEIGHTS_CARD_KEY = "resnet_deploy.card"
"""Its key in the metadata of a safetensors file."""

WEIGHTS_CARD_FORMAT = 3
"""Format 1 knew only square images, RGB. Format 2 knew the paper's nets alone, on three channels,
and their cards are still written in it.
"""

OVERFLOW_KEY = "overflow"
"""Among the facts of the training: whether sums of the int8 network that was trained can overflow.
"""

_LARGEST = 1e38
"""Beyond it a scale is not a float32."""


@dataclass(frozen=True, kw_only=True)
class WeightsCard:
    """Everything a user of trained weights needs to know.

    Args:
        model: the network. Its factory is for people: no code is imported because a file names it.
        preprocess: from an image to the normalised floats that the network was trained on.
        labels: one name per class, or none.
        accuracy: of the float network.
        int8_accuracy: of the int8 network, where training was aware of quantization.
        licence: an SPDX expression, empty where none is known.
        recipe: the fields of the :class:`~resnet_deploy.spec.training.Recipe`, as JSON values.
        training: how it went, as JSON values: name and SHA-256 of the data, images, epochs, seed,
            command, …
        activation_ranges: least and largest value, 0 between them, of each tensor whose scale
            and zero point quantization-aware training settled; empty otherwise.
        versions: of the packages that training used.
        format: of this card.

    Raises:
        SpecError: a value that no training can give, or two that contradict each other.
    """

    model: ModelSpec
    preprocess: InputContract
    labels: tuple[str, ...] = ()
    accuracy: tuple[Accuracy, ...] = ()
    int8_accuracy: tuple[Accuracy, ...] = ()
    licence: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    activation_ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    format: int = WEIGHTS_CARD_FORMAT

    def __post_init__(self) -> None:
        problem = next(_problems(self), None)
        if problem is not None:
            raise SpecError(f"the weights card has {problem}")
        check_licence(self.licence)

    @property
    def overflow(self) -> Overflow:
        """Whether sums of the int8 network that was trained can overflow; earlier ones can."""
        if not self.activation_ranges:
            return Overflow.UNKNOWN
        never = self.training.get(OVERFLOW_KEY) == Overflow.NEVER.value
        return Overflow.NEVER if never else Overflow.POSSIBLE

    def preprocess_for(self, image_size: int) -> InputContract:
        """Return the training's preprocessing, with the usual resize if the size is another."""
        if image_size == self.preprocess.height:
            return self.preprocess
        return self.preprocess.with_size(image_size)

    def to_json(self) -> str:
        """Return the card as JSON with sorted keys: the same card, the same text.

        Raises:
            ValueError: ``recipe`` or ``training`` hold a number that is not finite.
        """
        data = converter.unstructure(self)
        if self.format == WEIGHTS_CARD_FORMAT:
            data["format"] = written_format(self.model, WEIGHTS_CARD_FORMAT)
        return json.dumps(data, sort_keys=True, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> WeightsCard:
        """Return the card that :meth:`to_json` wrote.

        Raises:
            CheckpointError: the text is not a card of a format this version reads.
        """
        card = read_card(
            text,
            cls,
            name="weights card",
            formats=(1, 2, WEIGHTS_CARD_FORMAT),
            squares=1,
            remedy="copy the file again, or train again",
            error_type=CheckpointError,
        )
        return replace(card, format=WEIGHTS_CARD_FORMAT)


def _problems(card: WeightsCard) -> Iterator[str]:
    """Yield what is wrong, in words."""
    model, preprocess = card.model, card.preprocess
    height, width = preprocess.height, preprocess.width
    if not model.image_size == height == width:
        yield f"a network for {model.image_size} pixels and images of {height}x{width}"
    if preprocess.format is not InputFormat.FLOAT_NCHW or preprocess.resize_in_graph:
        yield f"an input of {preprocess.format.value}: weights are trained on float-nchw"
    if model.num_classes < 1:
        yield f"{model.num_classes} classes"
    if len(card.labels) not in (0, model.num_classes):
        yield f"{len(card.labels)} class names for {model.num_classes} classes"
    yield from long_labels(card.labels)
    for name, (least, largest) in card.activation_ranges.items():
        if not -_LARGEST <= least <= 0 <= largest <= _LARGEST:
            yield f"a range of {least:g} to {largest:g} for {name}"
