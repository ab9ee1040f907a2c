"""What was found on images."""

from __future__ import annotations

from resnet_deploy.report.document import Cell, Document, Section, Table
from resnet_deploy.report.words import percent, plural
from resnet_deploy.results import Predictions


def view(result: Predictions) -> Document:
    """Return one row per image and class, most likely first; a terminal names an image once."""
    table = Table.of(
        "What is on each image",
        [
            (Cell(prediction.image if place == 0 else "", full=prediction.image), found)
            for prediction in result.predictions
            for place, found in enumerate(prediction.classes)
        ],
        [
            ("image", lambda row: row[0]),
            ("class", lambda row: row[1].label),
            ("probability", lambda row: row[1].probability, percent),
        ],
        words=2,
    )
    return Document(
        topic="Prediction",
        title=plural(len(result.predictions), "image"),
        sections=(Section("Classes", (table,)),),
    )
