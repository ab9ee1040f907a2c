"""A training as text: a line per epoch, and what came out."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from resnet_deploy.results.training import Epoch, TrainingResult

_LAST_EPOCHS = 5
"""Rows of the table; the metrics have all."""


def epoch_line(epoch: Epoch, epochs: int) -> str:
    """Return one epoch in one line."""
    return (
        f"epoch {epoch.number}/{epochs}  loss {epoch.train_loss:.4f}  "
        f"train {epoch.train_top1:.2%}  test {epoch.test_top1:.2%}  lr {epoch.lr:.4g}  "
        f"{epoch.images_per_second:.0f} images/s ({epoch.seconds:.0f} s)"
    )


def training_report(result: TrainingResult) -> RenderableType:
    """Return what a training learned, and what to do with it."""
    parts: list[RenderableType] = [
        Text(
            f"{result.model}, {result.parameters:,} parameters, on {result.data}: "
            f"{result.train_images:,} training and {result.test_images:,} test images of "
            f"{len(result.classes)} classes"
        )
    ]
    if result.epochs:
        parts.append(_table(result))
    parts += [Text(f"note: {notice}") for notice in result.notices]
    parts += [Text(line) for line in _verdict(result)]
    return Group(*parts)


def _table(result: TrainingResult) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("epoch", "train loss", "train top-1", "test loss", "test top-1", "images/s"):
        table.add_column(title, justify="right")
    for epoch in result.epochs[-_LAST_EPOCHS:]:
        table.add_row(
            str(epoch.number),
            f"{epoch.train_loss:.4f}",
            f"{epoch.train_top1:.2%}",
            f"{epoch.test_loss:.4f}",
            f"{epoch.test_top1:.2%}",
            f"{epoch.images_per_second:.0f}",
        )
    return table


def _verdict(result: TrainingResult) -> list[str]:
    best = result.best
    lines = []
    if best is not None and result.top1 is not None:
        lines.append(
            f"top-1 {result.top1:.2%} on {result.test_images:,} test images after the last epoch; "
            f"best {best.test_top1:.2%} (epoch {best.number}); {result.seconds / 60:.1f} min of "
            f"training in {result.precision}"
        )
    if result.interrupted is not None:
        lines.append(f"interrupted; saved in {result.files['last']}: --resume goes on from there")
    lines.append(f"deploy it: {result.export}")
    return lines
