"""A file of which its user says something: what it answers, how its pictures are prepared."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from resnet_deploy.artifact.card import Card
from resnet_deploy.artifact.output_kind import PROBABILITIES, assumed_output
from resnet_deploy.errors import SpecError
from resnet_deploy.spec import InputContract, InputOptions, Learned, OutputKind, Told

if TYPE_CHECKING:
    from resnet_deploy.artifact.artifact import Artifact

_EITHER = (OutputKind.BINARY, OutputKind.MULTI_LABEL)
"""Of logits or of probabilities: what computes them tells."""


def as_told(artifact: Artifact, told: Told) -> Artifact:
    """Return ``artifact``, of which its user says ``told``.

    Raises:
        SpecError: it can't answer that, or be fed like that.
    """
    fed = as_fed(artifact, told.input_options)
    return fed if told.output_kind is None else as_kind(fed, told.output_kind)


def as_fed(artifact: Artifact, options: InputOptions) -> Artifact:
    """Return ``artifact``, whose images are prepared as its user says.

    Raises:
        SpecError: it does itself what ``options`` are about.
    """
    if not options.says_something:
        return artifact
    own = artifact.preprocess
    done = [*(() if own.format.is_float else ("range", "mean", "std"))]
    done += ["resize", "resize_mode", "interpolation", "crop"] if own.resize_in_graph else []
    told = [name for name in done if getattr(options, name) is not None]
    if told:
        raise SpecError(
            f"{artifact.path} takes {own.format.value} and does this itself: drop "
            f"{', '.join('--' + name.replace('_', '-') for name in told)}"
        )
    found = as_contract(artifact, options.over(own, Learned.OPTION))
    if artifact.card is None or found.preprocess == own:
        return found
    return replace(found, notices=(*found.notices, f"its card says otherwise: {own.sentence}"))


def as_contract(artifact: Artifact, contract: InputContract) -> Artifact:
    """Return ``artifact``, whose images are prepared as ``contract`` says.

    Whether its graph takes them is asked where they are prepared.
    """
    card = artifact.card
    if card is not None:
        own = card.model.image_size in (contract.height, contract.width)
        size = card.model.image_size if own else contract.side
        model = replace(card.model, image_size=size, in_channels=contract.channels)
        card = replace(card, preprocess=contract, model=model)
    return replace(artifact, preprocess=contract, card=card)


def fed_as(artifact: Artifact, relative: Artifact) -> Artifact:
    """Return ``artifact`` fed as ``relative`` is, where one was made of the other.

    That is for what nothing tells of ``artifact`` itself.
    """
    cards = ((artifact.card, relative), (relative.card, artifact))
    made = any(card is not None and card.weights.sha256 == of.sha256 for card, of in cards)
    own, known = artifact.preprocess, relative.preprocess
    if not own.assumed or not made or len(known.assumed) >= len(own.assumed):
        return artifact
    return as_contract(artifact, replace(known, format=own.format))


def as_kind(artifact: Artifact, kind: OutputKind) -> Artifact:
    """Return ``artifact``, which answers what its user says it does.

    Raises:
        SpecError: it has another number of outputs or values than that.
    """
    if kind is artifact.output_kind:
        return replace(artifact, assumed_kind=False, card=_told_output(artifact.card))
    outputs, values = len(artifact.outputs), artifact.values
    if (kind is OutputKind.TOP_K) != (artifact.output_kind is OutputKind.TOP_K):
        raise SpecError(
            f"{artifact.path} gives {', '.join(map(str, artifact.outputs))}: a file of top-k, and "
            "only it, has the outputs of one TopK"
        )
    if outputs > 1 and kind not in (OutputKind.TOP_K, OutputKind.FEATURES):
        raise SpecError(
            f"{artifact.path} has {outputs} outputs: --output-kind {kind.word} is of files with one"
        )
    if kind is OutputKind.BINARY and values not in (None, 1):
        raise SpecError(
            f"{artifact.path} gives {values} values per image: --output-kind binary is of one; "
            "say logits, probabilities, sigmoid or multi-label"
        )
    told = kind in PROBABILITIES
    if values == 1 and kind.has_classes:
        kind = OutputKind.BINARY
    by_graph = artifact.gives_probabilities and kind in _EITHER
    card = artifact.card
    if card is not None and card.output.kind is not kind and kind is not OutputKind.TOP_K:
        card = replace(card, output=replace(card.output, kind=kind, k=0))
    return replace(
        artifact,
        output_kind=kind,
        assumed_kind=False,
        gives_probabilities=told or by_graph,
        card=_told_output(card),
    )


def _told_output(card: Card | None) -> Card | None:
    """Return ``card``, of whose output nothing is assumed any more."""
    if card is None or not card.assumed:
        return card
    outputs = {assumed_output(kind) for kind in OutputKind}
    return replace(card, assumed=tuple(line for line in card.assumed if line not in outputs))
