"""A training: a line per epoch, and what came out."""

from __future__ import annotations

from resnet_deploy.report.document import Document, Notes, Section, Table, Verdict
from resnet_deploy.report.words import percent, whole
from resnet_deploy.results.training import Epoch, TrainingResult

_LAST_EPOCHS = 5
"""Rows on a terminal; a page and the metrics have all."""


def view(result: TrainingResult) -> Document:
    """Return what a training learned, and what to do with it."""
    data = (
        f"{result.model}, {result.parameters:,} parameters, on {result.data}: "
        f"{result.train_images:,} training and {result.test_images:,} test images of "
        f"{len(result.classes)} classes"
    )
    notices = tuple(f"note: {notice}" for notice in result.notices)
    sentences = _sentences(result)
    word = "Interrupted" if result.interrupted is not None else "Trained"
    return Document(
        topic="Training",
        title=result.model,
        verdict=Verdict("plain", word, sentences) if sentences else None,
        sections=(Section("Epochs", (Notes((data,)), _table(result), Notes(notices))),),
        steps=(f"deploy it: {result.export}",),
        environment=result.environment,
    )


def epoch_line(epoch: Epoch, epochs: int) -> str:
    """Return one epoch in one line."""
    return (
        f"epoch {epoch.number}/{epochs}  loss {epoch.train_loss:.4f}  "
        f"train {epoch.train_top1:.2%}  test {epoch.test_top1:.2%}  lr {epoch.lr:.4g}  "
        f"{epoch.images_per_second:.0f} images/s ({epoch.seconds:.0f} s)"
    )


def _table(result: TrainingResult) -> Table:
    loss = "{:.4f}".format
    return Table.of(
        "Loss and accuracy after each epoch",
        result.epochs,
        [
            ("epoch", lambda epoch: epoch.number, str),
            ("train loss", lambda epoch: epoch.train_loss, loss),
            ("train top-1", lambda epoch: epoch.train_top1, percent),
            ("test loss", lambda epoch: epoch.test_loss, loss),
            ("test top-1", lambda epoch: epoch.test_top1, percent),
            ("lr", lambda epoch: epoch.lr, "{:.4g}".format),
            ("images/s", lambda epoch: epoch.images_per_second, whole),
        ],
        shown=-_LAST_EPOCHS,
    )


def _sentences(result: TrainingResult) -> tuple[str, ...]:
    best, lines = result.best, []
    if best is not None and result.top1 is not None:
        lines.append(
            f"top-1 {result.top1:.2%} on {result.test_images:,} test images after the last epoch; "
            f"best {best.test_top1:.2%} (epoch {best.number}); {result.seconds / 60:.1f} min of "
            f"training in {result.precision}"
        )
    if result.interrupted is not None:
        last = result.files.get("last")
        saved = f"saved in {last}: --resume goes on from there"
        lines.append(f"interrupted; {saved if last else 'before anything was saved'}")
    return tuple(lines)
