"""The model card: everything a receiver of an ONNX file needs to know, as JSON inside it.

Nothing in a card depends on the time or the place, except for what ``tune`` measured: the same
input gives the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from resnet_deploy.artifact.card_json import converter, read_card, written_format
from resnet_deploy.errors import ArtifactError, SpecError
from resnet_deploy.parsing import LONGEST_TEXT
from resnet_deploy.spec import FIELDS, InputContract, ModelSpec, OutputKind, OutputSpec, Overflow
from resnet_deploy.spec.licence import check_licence

CARD_KEY = "resnet_deploy.card"
"""Its key in the model's ``metadata_props``."""

CARD_FORMAT = 5
"""Format 1 had neither outputs nor input formats: logits of normalised float images. Format 2 had
neither licence, ``min_onnxruntime`` nor what is recorded later; the verdict's step named the ISAs.
Format 3 knew only square images, RGB, and not where anything was learned. Format 4 knew the paper's
nets alone, on three channels, and their cards are still written in it.
"""

_KINDS = ("random", "file", "imagenet", "cifar10", "factory", "onnx")
"""Of sources of weights."""

_MOST = 10**15
"""Images, or decibels: no measurement has as many."""

_HASH = re.compile(r"[0-9a-f]{1,64}")
_ISA = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
_RELEASE = re.compile(r"\d{1,3}\.\d{1,4}(\.\d{1,4})?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class WeightsSource:
    """Where the weights came from.

    ``kind`` is ``random`` (then ``seed``), ``file``, ``imagenet`` or ``cifar10`` (then the file's
    name and SHA-256), ``factory`` (the factory returned them) or ``onnx`` (a foreign ONNX file).

    Raises:
        SpecError: there is no such kind, hash or seed.
    """

    kind: str
    file: str | None = None
    sha256: str | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise SpecError(f"no weights come from {self.kind[:40]!r}: {', '.join(_KINDS)}")
        _check_hash(self.sha256)
        if self.seed is not None and not 0 <= self.seed < 2**64:
            raise SpecError(f"{self.seed} is no seed")


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

    Raises:
        SpecError: no measurement can find this.
    """

    data: str
    samples: int
    top1: float
    top5: float | None = None
    of: int | None = None
    data_sha256: str | None = None

    def __post_init__(self) -> None:
        top5 = self.top1 if self.top5 is None else self.top5
        of = self.samples if self.of is None else self.of
        if not (1 <= self.samples <= of <= _MOST and 0 <= self.top1 <= top5 <= 1):
            beside = "" if self.top5 is None else f", top-5 of {100 * self.top5:g} %"
            among = "" if self.of is None else f" of {self.of}"
            raise SpecError(
                f"no accuracy is a top-1 of {100 * self.top1:g} %{beside} on {self.samples}{among} "
                "images"
            )
        _check_hash(self.data_sha256)


@dataclass(frozen=True, kw_only=True)
class Card:
    """Everything a receiver of the file needs to know.

    ``output`` is what the graph answers. ``labels`` is empty or has one name per class, and is
    empty where the answer has no classes; ``parity`` holds the figures that ``verify``
    measured when the file was made (``fp32_relative``, ``int8_sqnr_db``, …).

    ``licence`` is an SPDX expression, empty where none is known. ``min_onnxruntime`` is the first
    release that loads the file; saving sets it. ``proven_isas`` are the instruction sets on which
    the file is known to give the same answers. ``made_sha256`` is that of the file as it was made,
    once something was recorded in it later. ``assumed`` are sentences on the network and its output
    that nothing told; ``preprocess`` says of each of its fields where it was learned.

    Raises:
        SpecError: a value that no file can have, or two that contradict each other.
    """

    model: ModelSpec
    preprocess: InputContract
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
    assumed: tuple[str, ...] = ()
    format: int = CARD_FORMAT

    def __post_init__(self) -> None:
        problem = next(_problems(self), None)
        if problem is not None:
            raise SpecError(f"the card has {problem}")
        check_licence(self.licence)
        _check_hash(self.made_sha256)

    @property
    def overflow(self) -> Overflow:
        """Whether int8 sums can overflow; unknown of files of other tools and of older releases."""
        found = [step.options.get("overflow") for step in self.steps if step.name == "quantize"]
        return Overflow.of(found[-1] if found else None)

    def with_step(self, name: str, options: Mapping[str, Any]) -> Card:
        """Return a card with one more step."""
        return replace(self, steps=(*self.steps, Step(name=name, options=dict(options))))

    def remade(self) -> Card:
        """Return the card of another file made from this one, about which nothing is known yet."""
        return replace(self, accuracy=(), proven_isas=(), made_sha256=None)

    def with_accuracy(self, found: Accuracy) -> Card:
        """Return a card with ``found``, in place of an earlier figure of the same data."""
        same = (found.data, found.data_sha256)
        rest = (known for known in self.accuracy if (known.data, known.data_sha256) != same)
        return replace(self, accuracy=(*rest, found))

    def with_isas(self, proven: Iterable[str], refuted: Iterable[str] = ()) -> Card:
        """Return a card that names the instruction sets ``proven``, and no longer ``refuted``."""
        known = {*self.proven_isas, *proven} - set(refuted)
        return replace(self, proven_isas=tuple(sorted(known)))

    def to_json(self) -> str:
        """Return the card as JSON with sorted keys: the same card, the same text."""
        data = converter.unstructure(self)
        if self.format == CARD_FORMAT:
            data["format"] = written_format(self.model, CARD_FORMAT)
        return json.dumps(data, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Return the card that :meth:`to_json` wrote.

        Raises:
            ArtifactError: the text is not a card of a format this version reads.
        """
        card = read_card(
            text,
            cls,
            name="model card",
            formats=(1, 2, 3, 4, CARD_FORMAT),
            squares=3,
            remedy="export again",
            error_type=ArtifactError,
        )
        # What is made of an old file gets a card of today.
        if card.format < 4:
            card = card.with_isas(_isas_of(card.steps))
            if card.weights.kind == "onnx":  # nobody had said how its images are prepared
                card = replace(card, preprocess=card.preprocess.as_assumed(FIELDS[2:]))
        return replace(card, format=CARD_FORMAT)


def _isas_of(steps: Sequence[Step]) -> tuple[str, ...]:
    """Return the instruction sets that the verdict of a card of format 2 names.

    Raises:
        ArtifactError: it names something else.
    """
    found = [step.options.get("proven_isas", []) for step in steps if step.name == "verdict"]
    names = [name for listed in found if isinstance(listed, list) for name in listed]
    if not all(isinstance(listed, list) for listed in found) or not all(map(_is_isa, names)):
        raise ArtifactError(
            "the model card is damaged (its verdict names no instruction sets): export again"
        )
    return tuple(names)


def _problems(card: Card) -> Iterator[str]:
    """Yield what is wrong, in words; the graph is asked where the card is read from a file."""
    model, height, width = card.model, card.preprocess.height, card.preprocess.width
    if model.image_size not in (height, width):
        yield f"a network for {model.image_size} pixels and images of {height}x{width}"
    # Of the nets of other tools' files older releases wrote 3, whatever they take.
    known = model.in_channels and card.weights.kind != "onnx"
    if known and model.in_channels != card.preprocess.channels:
        yield f"a network for {model.in_channels} and images of {card.preprocess.channels} channels"
    classes, k = model.num_classes, card.output.k
    # One value may stand for two classes.
    fits = (0, 1, 2) if card.output.kind is OutputKind.BINARY else (0, classes or len(card.labels))
    if len(card.labels) not in fits:
        yield f"{len(card.labels)} class names for {classes} classes"
    yield from long_labels(card.labels)
    if classes and k > classes:
        yield f"the best {k} of {classes} classes"
    for name, figure in card.parity.items():
        if not abs(figure) <= _MOST or (name.endswith("samples") and not figure >= 1):
            yield f"{figure:g} as {name[:40]!r}"
    for name in card.proven_isas:
        if not _is_isa(name):
            yield f"{name[:40]!r} for an instruction set"
    release = card.min_onnxruntime
    if release is not None and not _RELEASE.fullmatch(release):
        yield f"{release[:40]!r} for a release of ONNX Runtime"


def long_labels(labels: Iterable[str]) -> Iterator[str]:
    """Yield which names are longer than any text in a card that is read, in words."""
    for number, label in enumerate(labels):
        if len(label) > LONGEST_TEXT:
            yield f"a name of {len(label)} letters for class {number}"


def _is_isa(name: object) -> bool:
    return isinstance(name, str) and _ISA.fullmatch(name) is not None


def _check_hash(digits: str | None) -> None:
    """Refuse what are not digits of a SHA-256.

    Raises:
        SpecError: it is none.
    """
    if digits is not None and not _HASH.fullmatch(digits):
        raise SpecError(f"{digits[:80]!r} is not a SHA-256")
