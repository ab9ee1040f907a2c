"""The model card: everything a receiver of an ONNX file needs to know, as JSON inside it.

Nothing in a card depends on the time or the place, so the same input gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import cattrs

from resnet_deploy.errors import ArtifactError
from resnet_deploy.spec import ModelSpec, OutputSpec, Preprocess

CARD_KEY = "resnet_deploy.card"
"""Its key in the model's ``metadata_props``."""

CARD_FORMAT = 2

_READABLE = (1, CARD_FORMAT)
"""Format 1 had neither outputs nor input formats: logits of normalised float images."""

_converter = cattrs.Converter(forbid_extra_keys=True)


@dataclass(frozen=True, kw_only=True)
class WeightsSource:
    """Where the weights came from.

    ``kind`` is ``random`` (then ``seed``), ``file`` or ``imagenet`` (then the file's name and
    SHA-256), ``factory`` (the factory returned them) or ``onnx`` (a foreign ONNX file).
    """

    kind: str
    file: str | None = None
    sha256: str | None = None
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """One transformation and its options, as recorded in the card."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Card:
    """Everything a receiver of the file needs to know.

    ``output`` is what the graph answers. ``labels`` is empty or has one name per class, and is
    empty where the answer has no classes; ``parity`` holds the figures that ``verify``
    measured when the file was made (``fp32_relative``, ``int8_sqnr_db``, …).
    """

    model: ModelSpec
    preprocess: Preprocess
    weights: WeightsSource
    output: OutputSpec = field(default_factory=OutputSpec)
    labels: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    parity: dict[str, float] = field(default_factory=dict)
    format: int = CARD_FORMAT

    def with_step(self, name: str, options: Mapping[str, Any]) -> Card:
        """Return a card with one more step."""
        return replace(self, steps=(*self.steps, Step(name=name, options=dict(options))))

    def label(self, index: int) -> str:
        """Return the name of class ``index``, or ``class 7`` where the card has no labels."""
        return self.labels[index] if index < len(self.labels) else f"class {index}"

    def to_json(self) -> str:
        """Return the card as JSON with sorted keys: the same card, the same text."""
        return json.dumps(_converter.unstructure(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Return the card that :meth:`to_json` wrote.

        Raises:
            ArtifactError: the text is not a card of a format this version reads.
        """
        try:
            data = json.loads(text)
            if data["format"] not in _READABLE:
                raise ArtifactError(
                    f"the model card has format {data['format']}, this version reads up to "
                    f"{CARD_FORMAT}: use the resnet-deploy that wrote it, or export again"
                )
            # What is made of an old file gets a card of today.
            return _converter.structure({**data, "format": CARD_FORMAT}, cls)
        except (ValueError, KeyError, TypeError, cattrs.BaseValidationError) as error:
            raise ArtifactError(f"the model card is damaged ({error}): export again") from error
