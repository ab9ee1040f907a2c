"""An accuracy measurement: how often a model is right, on what, and what changed."""

from __future__ import annotations

import math
from collections import Counter

from resnet_deploy.report.chart import Bar, Bars, Estimate, Forest, Matrix
from resnet_deploy.report.document import (
    UNKNOWN,
    Block,
    Cell,
    Document,
    Notes,
    Section,
    Table,
    Tile,
    Verdict,
)
from resnet_deploy.report.words import decibels, file_name, percent, plural, points, some, whole
from resnet_deploy.results import EvalResult, PairedTop1
from resnet_deploy.results.accuracy import CALIBRATION_BINS
from resnet_deploy.results.evaluation import Answers

_SKIPPED_SHOWN = 10
_MOST_CLASSES = 20
"""Drawn and listed; with 1000 classes, only the worst of them."""

_MOST_CONFUSIONS = 12


def view(result: EvalResult) -> Document:
    """Return one evaluation; its size does not grow with classes or images."""
    return Document(
        topic="Accuracy",
        title=file_name(result.model),
        verdict=_verdict(result),
        tiles=_tiles(result),
        sections=(
            Section("Top-1 accuracy", _accuracy(result)),
            _classes(result),
            _changes(result),
            Section("What is taken for what", _confusions(result), detail=True),
            Section("How far confidence can be trusted", _reliability(result), detail=True),
        ),
        environment=result.environment,
    )


def difference(paired: PairedTop1) -> str:
    """Return the difference in top-1 as a sentence, with its interval, test and verdict."""
    p = f"p = {paired.p_value:.2g}" if paired.p_value >= 0.001 else "p < 0.001"
    verdict = "significant" if paired.significant else "not significant"
    if not paired.can_differ:
        verdict = f"{paired.samples} are too few for any difference to be significant"
    return f"{points_lost(paired, f'; McNemar {p}')}: {verdict}"


def points_lost(paired: PairedTop1, test: str = "") -> str:
    """Return the difference in top-1 with its interval, and ``test`` beside that."""
    low, high = map(points, paired.interval)
    return f"top-1 {points(paired.difference)} points (95 % CI {low} to {high}{test})"


def _verdict(result: EvalResult) -> Verdict:
    low, high = result.top1_interval
    right = (
        f"right on {percent(result.top1)} of {plural(result.samples, 'image')} of {result.data} "
        f"(95 % CI {low:.2%} to {high:.2%})"
    )
    paired = result.paired
    if result.passed is False:
        return Verdict("bad", "At chance level", (right, result.chance_text))
    if result.at_chance:
        right = f"{right}: that is chance level, as its weights are random"
    if paired is None or result.against is None:
        return Verdict("plain", "Measured", (right,))
    sentences = (right, f"beside {file_name(result.against.model)}: {difference(paired)}")
    if not paired.can_differ:
        return Verdict("plain", "Too few pictures to tell", sentences)
    if not paired.significant:
        return Verdict("plain", "No significant difference", sentences)
    if paired.difference > 0:
        return Verdict("good", "More accurate", sentences)
    return Verdict("bad", "Less accurate", sentences)


def _tiles(result: EvalResult) -> tuple[Tile, ...]:
    found = [
        Tile("Top-1", percent(result.top1), plural(result.samples, "image")),
        Tile("Top-5", "not known" if result.top5 is None else percent(result.top5)),
    ]
    paired, reference = result.paired, result.against
    if paired is not None and reference is not None:
        low, high = map(points, paired.interval)
        logits = f"logits {decibels(reference.sqnr_db)}"
        found += [
            Tile("Difference in points", points(paired.difference), f"95 % CI {low} to {high}"),
            Tile("Same answer", percent(reference.agreement), logits),
        ]
    elif result.calibration_error is not None:
        found.append(Tile("Calibration error", percent(result.calibration_error), "ECE"))
    return tuple(found)


def _accuracy(result: EvalResult) -> tuple[Block, ...]:
    reference = result.against
    models: list[Answers] = [result] if reference is None else [result, reference]
    same = UNKNOWN if reference is None else Cell.of(reference.agreement, percent)
    noise = UNKNOWN if reference is None else Cell.of(reference.sqnr_db, decibels)
    chart = Forest(
        "Top-1 accuracy with its 95 % interval",
        "share of images that are right",
        [
            Estimate(file_name(model.model), model.top1, model.top1_interval, percent(model.top1))
            for model in models
        ],
        percent=True,
        caption="The line is the 95 % interval, the images being a sample of all there could be."
        + " Both models saw the same images, so their difference is known better than these "
        "intervals show: see the verdict." * (reference is not None),
    )
    table = Table.of(
        "Accuracy of each model",
        models,
        [
            ("model", lambda model: file_name(model.model)),
            ("top-1", lambda model: model.top1, percent),
            ("95 % CI", lambda model: " to ".join(f"{end:.2%}" for end in model.top1_interval)),
            ("top-5", lambda model: model.top5, percent),
            ("confidence", lambda model: model.mean_confidence, percent),
            ("ECE", lambda model: model.calibration_error, percent),
            ("same top-1", lambda model: same if model is result else "reference")
            if reference
            else None,
            ("SQNR", lambda model: noise if model is result else "") if reference else None,
        ],
    )
    measured = f"{result.data}: {result.samples:,} images, {result.seconds:.1f} s"
    left_out = (
        f"{plural(len(result.skipped), 'image')} left out, as they can't be read: "
        f"{some(result.skipped, _SKIPPED_SHOWN)}"
    )
    skipped = Notes((left_out,) if result.skipped else (), "caution")
    return Notes((measured,)), skipped, chart, table, Notes(_notes(result, models))


def _notes(result: EvalResult, models: list[Answers]) -> tuple[str, ...]:
    lines = []
    for model in models:
        if model.top5 is None:
            noun = "class" if model.listed == 1 else "classes"
            names = f"{model.listed} {noun} per image"
            lines.append(f"{model.model} names {names}: its top-5 is not known")
    if result.paired is not None and result.against is not None:
        paired = result.paired
        changed = result.against.top1_equal.count(False)
        wrong = changed - paired.newly_right - paired.newly_wrong
        lines.append(
            f"changed answers: {changed:,} ({paired.newly_right:,} newly right, "
            f"{paired.newly_wrong:,} newly wrong, {wrong:,} wrong in another way)"
        )
    if result.calibration_drift is not None and result.confidence_drift is not None:
        lines.append(
            f"calibration error {points(result.calibration_drift)} points, mean confidence "
            f"{points(result.confidence_drift)} points"
        )
    return tuple(lines)


def _classes(result: EvalResult) -> Section:
    """Return the accuracy of each class, or of the worst 20; nothing without labels kept."""
    shown, title = result.per_class, "Class by class"
    compared = result.against is not None
    if len(shown) > _MOST_CLASSES:
        # Those that lost against the other model, or are hardest if there is none.
        lost = [label for label in shown if label.difference is None or label.difference < 0]
        lost.sort(key=lambda label: (label.difference or 0.0, label.top1))
        what = "lost most" if compared else "are hardest"
        title = f"The {len(lost[:_MOST_CLASSES])} of {len(shown):,} classes that {what}"
        shown = tuple(lost[:_MOST_CLASSES])
    if not shown:
        return Section(title, ())
    chart = Bars(
        title,
        "share of the class's images that are right",
        [
            Bar(label.name, label.top1, percent(label.top1), reference=label.against_top1)
            for label in shown
        ],
        caption="Top-1 within each class." + " The upright mark is the reference." * compared,
        percent=True,
    )
    table = Table.of(
        title,
        shown,
        [
            ("class", lambda label: label.name),
            ("images", lambda label: label.samples, whole),
            ("top-1", lambda label: label.top1, percent),
            ("reference", lambda label: label.against_top1, percent) if compared else None,
            ("points", lambda label: label.difference, points) if compared else None,
        ],
    )
    return Section(title, (chart, table))


def _changes(result: EvalResult) -> Section:
    """Return which answers the other model gave where this one gives another."""
    title = "The most frequent changes of the answer"
    table = Table.of(
        title,
        result.confusion_changes[:_MOST_CONFUSIONS],
        [
            ("class", lambda change: change.truth),
            ("reference says", lambda change: change.before),
            ("model says", lambda change: change.after),
            ("images", lambda change: change.samples, whole),
        ],
        words=3,
    )
    return Section(title, (table,) if table.rows else ())


def _confusions(result: EvalResult) -> tuple[Block, ...]:
    """Return what is mistaken for what: all of it, and the most frequent mistakes."""
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
    mistakes = [(-count, pair) for pair, count in pairs.items() if pair[0] != pair[1]]
    table = Table.of(
        "The most frequent mistakes",
        sorted(mistakes)[:_MOST_CONFUSIONS],
        [
            ("class", lambda mistake: classes[mistake[1][0]]),
            ("taken for", lambda mistake: classes[mistake[1][1]]),
            ("images", lambda mistake: -mistake[0], whole),
        ],
        words=2,
    )
    return (*blocks, table) if mistakes else tuple(blocks)


def _reliability(result: EvalResult) -> tuple[Block, ...]:
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
        claimed, hit = (sum(values) / len(members) for values in zip(*members, strict=True))
        rows.append((name, len(members), claimed, hit))
    title = "Accuracy by confidence"
    chart = Bars(
        title,
        "share of images that are right",
        [Bar(name, hit, plural(count, "image"), reference=said) for name, count, said, hit in rows],
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
            ("images", lambda row: row[1], whole),
            ("mean confidence", lambda row: row[2], percent),
            ("right", lambda row: row[3], percent),
        ],
    )
    return chart, table
