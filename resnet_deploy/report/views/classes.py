"""Accuracy class by class: bars, confusions, and how far confidence can be trusted."""

from __future__ import annotations

import math
from collections import Counter

from resnet_deploy.report.chart import Bar, Bars, Matrix
from resnet_deploy.report.document import Block, Cell, Section, Table
from resnet_deploy.report.words import percent, plural, points, whole
from resnet_deploy.results import ClassAccuracy, EvalResult
from resnet_deploy.results.accuracy import CALIBRATION_BINS

_MOST_CLASSES = 20
"""Drawn and listed; with 1000 classes, only the worst of them."""

_MOST_CONFUSIONS = 12


def classes_section(result: EvalResult) -> tuple[Section, ...]:
    """Return the accuracy of each class, or of the worst 20; nothing without labels kept."""
    every = result.per_class
    shown, title = every, "Class by class"
    if len(every) > _MOST_CLASSES:
        shown = _worst(every)
        what = "lost most" if result.against else "are hardest"
        title = f"The {len(shown)} of {len(every):,} classes that {what}"
    if not shown:
        return ()
    compared = result.against is not None
    chart = Bars(
        title,
        "share of the class's images that are right",
        [Bar(one.name, one.top1, percent(one.top1), other=one.against_top1) for one in shown],
        caption="Top-1 within each class." + " The upright mark is the reference." * compared,
        percent=True,
    )
    table = Table.of(
        title,
        shown,
        [
            ("class", lambda one: one.name),
            ("images", lambda one: Cell.of(one.samples, whole)),
            ("top-1", lambda one: Cell.of(one.top1, percent)),
            ("reference", lambda one: Cell.of(one.against_top1, percent)) if compared else None,
            ("points", lambda one: Cell.of(one.difference, points)) if compared else None,
        ],
    )
    return (Section(title, (chart, table)),)


def _worst(classes: tuple[ClassAccuracy, ...]) -> tuple[ClassAccuracy, ...]:
    """Return the classes that lost against the other model, or are hardest if there is none."""
    lost = [one for one in classes if one.difference is None or one.difference < 0]
    return tuple(sorted(lost, key=lambda one: (one.difference or 0.0, one.top1))[:_MOST_CLASSES])


def changes_section(result: EvalResult) -> tuple[Section, ...]:
    """Return which answers the other model gave where this one gives another."""
    if not result.confusion_changes:
        return ()
    title = "The most frequent changes of the answer"
    table = Table.of(
        title,
        result.confusion_changes[:_MOST_CONFUSIONS],
        [
            ("class", lambda one: one.truth),
            ("reference says", lambda one: one.before),
            ("model says", lambda one: one.after),
            ("images", lambda one: Cell.of(one.samples, whole)),
        ],
        words=3,
    )
    return (Section(title, (table,)),)


def confusion_section(result: EvalResult) -> tuple[Section, ...]:
    """Return what is mistaken for what: all of it, or the most frequent mistakes."""
    if not result.predicted or not result.truth:
        return ()
    pairs = Counter(zip(result.truth, result.predicted, strict=True))
    classes = result.classes
    blocks: list[Block] = []
    if len(classes) <= _MOST_CLASSES:
        every = range(len(classes))
        counts = [[pairs[row, column] for column in every] for row in every]
        caption = "A row is a true class: how many of its images go to each predicted class."
        axis = "predicted class, by number"
        blocks.append(Matrix("Confusion matrix", axis, classes, counts, caption=caption))
    mistakes = [(pair, count) for pair, count in pairs.items() if pair[0] != pair[1]]
    mistakes.sort(key=lambda one: (-one[1], one[0]))
    if mistakes:
        table = Table.of(
            "The most frequent mistakes",
            mistakes[:_MOST_CONFUSIONS],
            [
                ("class", lambda one: classes[one[0][0]]),
                ("taken for", lambda one: classes[one[0][1]]),
                ("images", lambda one: Cell.of(one[1], whole)),
            ],
            words=2,
        )
        blocks.append(table)
    return (Section("What is taken for what", tuple(blocks), detail=True),) if blocks else ()


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
    rows = []
    for number, members in sorted(bins.items()):
        name = f"{(number - 1) / CALIBRATION_BINS:.0%} to {number / CALIBRATION_BINS:.0%}"
        claimed = sum(share for share, _ in members) / len(members)
        hit = sum(right for _, right in members) / len(members)
        rows.append((name, len(members), claimed, hit))
    title = "Accuracy by confidence"
    chart = Bars(
        title,
        "share of images that are right",
        [Bar(name, hit, plural(count, "image"), other=said) for name, count, said, hit in rows],
        percent=True,
        caption="Answers sorted by how sure the model is. The bar is how often they are right, the "
        "mark how often they would be if confidence could be taken at its word. Expected "
        f"calibration error: {percent(result.calibration_error)}.",
    )
    table = Table.of(
        title,
        rows,
        [
            ("confidence", lambda row: row[0]),
            ("images", lambda row: Cell.of(row[1], whole)),
            ("mean confidence", lambda row: Cell.of(row[2], percent)),
            ("right", lambda row: Cell.of(row[3], percent)),
        ],
    )
    return (Section("How far confidence can be trusted", (chart, table), detail=True),)
