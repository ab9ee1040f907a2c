"""What was found on images."""

from __future__ import annotations

from collections.abc import Sequence

from resnet_deploy.report.document import Cell, Document, Section, Table
from resnet_deploy.report.words import percent, plural
from resnet_deploy.results import Prediction


def view(predictions: Sequence[Prediction]) -> Document:
    """Return one row per image and class, most likely first; a terminal names an image once."""
    table = Table.of(
        "What is on each image",
        ("image", "class", "probability"),
        (
            (
                Cell(prediction.image if place == 0 else "", full=prediction.image),
                found.label,
                Cell.of(found.probability, percent),
            )
            for prediction in predictions
            for place, found in enumerate(prediction.classes)
        ),
        words=2,
    )
    return Document(
        topic="Prediction",
        title=plural(len(predictions), "image"),
        sections=(Section(title="Classes", blocks=(table,)),),
    )
