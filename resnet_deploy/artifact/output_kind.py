"""What a file answers, of what its graph, its card and its class names say."""

from __future__ import annotations

from resnet_deploy.artifact.card import Card
from resnet_deploy.graph.meaning import Meaning
from resnet_deploy.spec import OutputKind

PROBABILITIES = (OutputKind.SOFTMAX, OutputKind.SIGMOID, OutputKind.TOP_K)
"""Kinds whose values are probabilities, not logits."""


def kind_of(meaning: Meaning, card: Card | None, names: int) -> OutputKind | None:
    """Return what a file answers; None where neither graph nor card nor names of classes tell.

    A graph that ends in probabilities is believed against a card that says logits, because other
    tools put a Softmax behind our files; only a card can tell labels from classes.
    """
    found = meaning.kind
    if card is None:
        by_name = OutputKind.LOGITS if names and names == meaning.values else None
        return found or by_name
    said = card.output.kind
    if found is OutputKind.TOP_K or (said is OutputKind.TOP_K and found is not None):
        return found
    if said in (OutputKind.LOGITS, OutputKind.SOFTMAX):
        if found in (OutputKind.SOFTMAX, OutputKind.SIGMOID, OutputKind.BINARY):
            return found
        # Several outputs, or maps: what else was put behind is not by class.
        return found if found is OutputKind.FEATURES else said
    return said


def assumed_output(kind: OutputKind) -> str:
    """Return what a card says of a file whose output is only taken for ``kind``."""
    return f"its output: {kind.word}"


def is_guess(meaning: Meaning) -> bool:
    """Whether the graph tells how values are made, but not for what."""
    number = meaning.kind is OutputKind.BINARY and not meaning.probabilities
    return number or meaning.kind is OutputKind.SIGMOID
