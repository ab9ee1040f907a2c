"""The model card: everything a receiver of an ONNX file needs to know, as JSON inside it.

Nothing in a card depends on the time or the place, so the same input gives the same bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cattrs

from resnet_deploy.errors import ArtifactError
from resnet_deploy.spec import ModelSpec, OutputSpec, Preprocess

CARD_KEY = "resnet_deploy.card"
"""Its key in the model's ``metadata_props``."""

_LARGEST_PICTURE = 8192
"""Pixels of a side, far above any classifier's."""

CARD_FORMAT = 3

_READABLE = (1, 2, CARD_FORMAT)
"""Format 1 had neither outputs nor input formats: logits of normalised float images. Format 2 had
neither licence, ``min_onnxruntime`` nor what is recorded later; the verdict's step named the ISAs.
"""

_converter = cattrs.Converter(forbid_extra_keys=True)


@dataclass(frozen=True, kw_only=True)
class WeightsSource:
    """Where the weights came from.

    ``kind`` is ``random`` (then ``seed``), ``file``, ``imagenet`` or ``cifar10`` (then the file's
    name and SHA-256), ``factory`` (the factory returned them) or ``onnx`` (a foreign ONNX file).
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
class Accuracy:
    """What ``evaluate`` or ``tune`` measured on ``samples`` labelled images.

    ``data`` is the name of the dataset, ``data_sha256`` its fingerprint and ``of`` how many images
    it has, where known. ``top1`` and ``top5`` are shares.
    """

    data: str
    samples: int
    top1: float
    top5: float | None = None
    of: int | None = None
    data_sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Card:
    """Everything a receiver of the file needs to know.

    ``output`` is what the graph answers. ``labels`` is empty or has one name per class, and is
    empty where the answer has no classes; ``parity`` holds the figures that ``verify``
    measured when the file was made (``fp32_relative``, ``int8_sqnr_db``, …).

    ``licence`` is an SPDX expression, empty where nobody gave one. ``min_onnxruntime`` is the first
    release that loads the file; saving sets it. ``proven_isas`` are the instruction sets on which
    the file is known to give the same answers. ``made_sha256`` is that of the file as it was made,
    once something was recorded in it later.
    """

    model: ModelSpec
    preprocess: Preprocess
    weights: WeightsSource
    output: OutputSpec = field(default_factory=OutputSpec)
    labels: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    parity: dict[str, float] = field(default_factory=dict)
    accuracy: tuple[Accuracy, ...] = ()
    proven_isas: tuple[str, ...] = ()
    licence: str = ""
    min_onnxruntime: str | None = None
    made_sha256: str | None = None
    format: int = CARD_FORMAT

    def with_step(self, name: str, options: Mapping[str, Any]) -> Card:
        """Return a card with one more step."""
        return replace(self, steps=(*self.steps, Step(name=name, options=dict(options))))

    def remade(self) -> Card:
        """Return the card of another file made from this one, about which nothing is known yet."""
        return replace(self, accuracy=(), proven_isas=(), made_sha256=None)

    def with_accuracy(self, found: Accuracy) -> Card:
        """Return a card with ``found``, in place of an earlier figure of the same data."""
        same = (found.data, found.data_sha256)
        others = (one for one in self.accuracy if (one.data, one.data_sha256) != same)
        return replace(self, accuracy=(*others, found))

    def with_isas(self, proven: Iterable[str], refuted: Iterable[str] = ()) -> Card:
        """Return a card that names the instruction sets ``proven``, and no longer ``refuted``."""
        known = {*self.proven_isas, *proven} - set(refuted)
        return replace(self, proven_isas=tuple(sorted(known)))

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
            data = strict_json(text)
            if data["format"] not in _READABLE:
                raise ArtifactError(
                    f"the model card has format {data['format']}, this version reads up to "
                    f"{CARD_FORMAT}: use the resnet-deploy that wrote it, or export again"
                )
            # What is made of an old file gets a card of today.
            card = _converter.structure({**data, "format": CARD_FORMAT}, cls)
            check_sizes(card.preprocess)
            return card if data["format"] == CARD_FORMAT else card.with_isas(_isas_of(card.steps))
        except (
            ValueError,
            KeyError,
            TypeError,
            RecursionError,
            cattrs.BaseValidationError,
        ) as error:
            raise ArtifactError(f"the model card is damaged ({error}): export again") from error


def strict_json(text: str) -> Any:
    """Return what JSON ``text`` holds.

    Raises:
        ValueError: it is no JSON, or holds a number that is not finite or half a character.
        RecursionError: it is nested too deeply.
    """
    data = json.loads(text, parse_constant=_finite, parse_float=_finite, parse_int=_whole)
    # Half a surrogate pair is no text that can be written anywhere.
    json.dumps(data, ensure_ascii=False).encode()
    return data


def _finite(digits: str) -> float:
    """Refuse ``NaN`` and ``Infinity``, which Python writes into JSON and nobody else reads."""
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is no number")
    return number


def _whole(digits: str) -> int:
    """Refuse whole numbers too large for a float, which fields of floats would choke on."""
    _finite(digits)
    return int(digits)


def check_sizes(preprocess: Preprocess) -> None:
    """Refuse pictures of a size that no net takes, before memory for one is asked for.

    Raises:
        ValueError: the size is one.
    """
    for size in (preprocess.resize, preprocess.crop):
        if not 1 <= size <= _LARGEST_PICTURE:
            raise ValueError(f"pictures of {size} pixels")


def _isas_of(steps: Sequence[Step]) -> tuple[str, ...]:
    """Return the instruction sets that the verdict of a card of format 2 names."""
    found = (step.options.get("proven_isas", ()) for step in steps if step.name == "verdict")
    return tuple(name for names in found for name in names)
