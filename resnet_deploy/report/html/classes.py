"""Accuracy class by class: bars, confusions, and how far confidence can be trusted."""

from __future__ import annotations

import math
from collections import Counter

from resnet_deploy.report.evaluation import percent, points
from resnet_deploy.report.html.charts.bars import Bar, bars
from resnet_deploy.report.html.charts.matrix import matrix
from resnet_deploy.report.html.page import Block, Figure, Section, Table
from resnet_deploy.report.html.words import percent_tick, plural
from resnet_deploy.results import ClassAccuracy, EvalResult
from resnet_deploy.results.accuracy import CALIBRATION_BINS

_MOST_CLASSES = 20
"""Drawn and listed; with 1000 classes, only the worst of them."""

_MOST_CONFUSIONS = 12


def classes_section(result: EvalResult) -> tuple[Section, ...]:
    """Return the accuracy of each class, or of the worst 20; nothing without labels kept."""
    every = result.per_class
    if not every:
        return ()
    shown, title = every, "Class by class"
    if len(every) > _MOST_CLASSES:
        shown = tuple(sorted(every, key=_badness)[:_MOST_CLASSES])
        what = "lost most" if result.against else "are hardest"
        title = f"The {_MOST_CLASSES} of {len(every):,} classes that {what}"
    rows = [
        Bar(label=one.name, value=one.top1, text=percent(one.top1), other=one.against_top1)
        for one in shown
    ]
    chart = bars(
        rows,
        title=title,
        description="; ".join(f"{row.label}: {row.text}" for row in rows),
        axis="share of the class's images that are right",
        tick=percent_tick,
    )
    caption = "Top-1 within each class."
    if result.against is not None:
        caption += " The upright mark is the other model."
    compared = ("Other model", "Points") if result.against else ()
    table = Table(
        caption=title,
        columns=("Class", "Images", "Top-1", *compared),
        rows=tuple(_row(one) for one in shown),
    )
    return (Section(title=title, blocks=(Figure(chart=chart, caption=caption), table)),)


def _badness(one: ClassAccuracy) -> tuple[float, float]:
    return (one.difference or 0.0, one.top1)


def _row(one: ClassAccuracy) -> tuple[str, ...]:
    cells = (one.name, f"{one.samples:,}", percent(one.top1))
    if one.against_top1 is None or one.difference is None:
        return cells
    return (*cells, percent(one.against_top1), points(one.difference))


def confusion_section(result: EvalResult) -> tuple[Section, ...]:
    """Return what is mistaken for what: all of it, or the most frequent mistakes."""
    if not result.predicted or not result.truth:
        return ()
    pairs = Counter(zip(result.truth, result.predicted, strict=True))
    blocks: list[Block] = []
    if len(result.classes) <= _MOST_CLASSES:
        everything = range(len(result.classes))
        counts = [[pairs[row, column] for column in everything] for row in everything]
        chart = matrix(
            result.classes,
            counts,
            title="Confusion matrix",
            description="Rows are the true classes, columns the predicted ones, in one order.",
        )
        caption = "A row is a true class: how many of its images go to each predicted class."
        blocks.append(Figure(chart=chart, caption=caption))
    mistakes = [(pair, count) for pair, count in pairs.items() if pair[0] != pair[1]]
    mistakes.sort(key=lambda one: (-one[1], one[0]))
    if mistakes:
        blocks.append(
            Table(
                caption="The most frequent mistakes",
                columns=("Class", "Taken for", "Images"),
                words=2,
                rows=tuple(
                    (result.classes[truth], result.classes[guess], f"{count:,}")
                    for (truth, guess), count in mistakes[:_MOST_CONFUSIONS]
                ),
            )
        )
    if result.confusion_changes:
        blocks.append(
            Table(
                caption="The most frequent changes of the answer",
                columns=("Class", "The other model says", "This model says", "Images"),
                words=3,
                rows=tuple(
                    (one.truth, one.before, one.after, f"{one.samples:,}")
                    for one in result.confusion_changes[:_MOST_CONFUSIONS]
                ),
            )
        )
    return (Section(title="What is taken for what", blocks=tuple(blocks)),) if blocks else ()


def trust_section(result: EvalResult) -> tuple[Section, ...]:
    """Return a reliability diagram: how often answers of each confidence are right."""
    if not result.confidences or result.calibration_error is None:
        return ()
    bins: dict[int, list[tuple[float, bool]]] = {}
    for confidence, right in zip(result.confidences, result.right, strict=True):
        # The same bins as of the expected calibration error; no confidence is in the first one.
        share = confidence if math.isfinite(confidence) else 0.0
        number = min(max(1, math.ceil(share * CALIBRATION_BINS)), CALIBRATION_BINS)
        bins.setdefault(number, []).append((share, right))
    rows, cells = [], []
    for number, members in sorted(bins.items()):
        name = f"{(number - 1) / CALIBRATION_BINS:.0%} to {number / CALIBRATION_BINS:.0%}"
        claimed = sum(one for one, _ in members) / len(members)
        hit = sum(one for _, one in members) / len(members)
        rows.append(Bar(label=name, value=hit, text=plural(len(members), "image"), other=claimed))
        cells.append((name, f"{len(members):,}", percent(claimed), percent(hit)))
    chart = bars(
        rows,
        title="Accuracy by confidence",
        description="; ".join(f"confidence {one[0]}: right on {one[3]}" for one in cells),
        axis="share of images that are right",
        tick=percent_tick,
    )
    caption = (
        "Answers sorted by how sure the model is. The bar is how often they are right, the mark "
        "how often they would be if confidence could be taken at its word. Expected calibration "
        f"error: {percent(result.calibration_error)}."
    )
    table = Table(
        caption="Accuracy by confidence",
        columns=("Confidence", "Images", "Mean confidence", "Right"),
        rows=tuple(cells),
    )
    return (
        Section(
            title="How far confidence can be trusted",
            blocks=(Figure(chart=chart, caption=caption), table),
        ),
    )
