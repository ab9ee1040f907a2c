"""What was found on pictures, as text."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from resnet_deploy.results import Prediction


def prediction_table(predictions: Sequence[Prediction]) -> Table:
    """Return one row per image and class, most likely first; images are named once."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("image", overflow="fold")
    table.add_column("class", overflow="fold")
    table.add_column("probability", justify="right")
    for prediction in predictions:
        for place, found in enumerate(prediction.classes):
            table.add_row(
                # Text, as brackets in a plain string would be read as styles.
                Text(prediction.image if place == 0 else ""),
                Text(found.label),
                f"{found.probability:.2%}",
                end_section=place == len(prediction.classes) - 1,
            )
    return table
