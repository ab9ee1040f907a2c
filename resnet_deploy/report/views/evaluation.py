"""An accuracy measurement: how often a model is right, on what, and what changed."""

from __future__ import annotations

from resnet_deploy.report.chart import Estimate, Forest
from resnet_deploy.report.document import (
    Block,
    Cell,
    Document,
    Notes,
    Section,
    Table,
    Tile,
    Verdict,
)
from resnet_deploy.report.views.classes import (
    changes_section,
    classes_section,
    confusion_section,
    trust_section,
)
from resnet_deploy.report.words import decibels, file_name, percent, plural, points, some
from resnet_deploy.results import Agreement, EvalResult, PairedTop1

_SKIPPED_SHOWN = 10


def view(result: EvalResult) -> Document:
    """Return one evaluation; its size does not grow with classes or images."""
    return Document(
        topic="Accuracy",
        title=file_name(result.model),
        verdict=_verdict(result),
        tiles=_tiles(result),
        sections=(
            Section("Top-1 accuracy", _accuracy(result)),
            *classes_section(result),
            *changes_section(result),
            *confusion_section(result),
            *trust_section(result),
        ),
        environment=result.environment,
    )


def difference(paired: PairedTop1) -> str:
    """Return the difference in top-1 as a sentence, with its interval, test and verdict."""
    low, high = paired.interval
    p = f"p = {paired.p_value:.2g}" if paired.p_value >= 0.001 else "p < 0.001"
    verdict = "significant" if paired.significant else "not significant"
    return (
        f"top-1 {points(paired.difference)} points (95 % CI {points(low)} to {points(high)}; "
        f"McNemar {p}): {verdict}"
    )


def _verdict(result: EvalResult) -> Verdict:
    low, high = result.top1_interval
    right = (
        f"right on {percent(result.top1)} of {plural(result.samples, 'image')} of {result.data} "
        f"(95 % CI {low:.2%} to {high:.2%})"
    )
    paired = result.paired
    if paired is None or result.against is None:
        return Verdict("plain", "Measured", (right,))
    sentences = (right, f"beside {file_name(result.against.model)}: {difference(paired)}")
    if not paired.significant:
        return Verdict("plain", "No significant difference", sentences)
    if paired.difference > 0:
        return Verdict("good", "More accurate", sentences)
    return Verdict("bad", "Less accurate", sentences)


def _tiles(result: EvalResult) -> tuple[Tile, ...]:
    top5 = "not known" if result.top5 is None else percent(result.top5)
    found = [
        Tile("Top-1", percent(result.top1), plural(result.samples, "image")),
        Tile("Top-5", top5),
    ]
    paired, other = result.paired, result.against
    if paired is not None and other is not None:
        low, high = map(points, paired.interval)
        logits = f"logits {decibels(other.sqnr_db)}"
        found += [
            Tile("Difference in points", points(paired.difference), f"95 % CI {low} to {high}"),
            Tile("Same answer", percent(other.agreement), logits),
        ]
    elif result.calibration_error is not None:
        found.append(Tile("Calibration error", percent(result.calibration_error), "ECE"))
    return tuple(found)


def _accuracy(result: EvalResult) -> tuple[Block, ...]:
    other = result.against
    models: list[EvalResult | Agreement] = [result, *([] if other is None else [other])]
    chart = Forest(
        "Top-1 accuracy with its 95 % interval",
        "share of images that are right",
        [
            Estimate(file_name(one.model), one.top1, one.top1_interval, percent(one.top1))
            for one in models
        ],
        percent=True,
        caption="The line is the 95 % interval, the images being a sample of all there could be."
        + " Both models saw the same images, so their difference is known better than these "
        "intervals show: see the verdict." * (other is not None),
    )
    table = Table.of(
        "Accuracy of each model",
        models,
        [
            ("model", lambda one: file_name(one.model)),
            ("top-1", lambda one: Cell.of(one.top1, percent)),
            ("95 % CI", lambda one: " to ".join(f"{end:.2%}" for end in one.top1_interval)),
            ("top-5", lambda one: Cell.of(one.top5, percent)),
            ("confidence", lambda one: Cell.of(one.mean_confidence, percent)),
            ("ECE", lambda one: Cell.of(one.calibration_error, percent)),
            ("same top-1", lambda one: _same(one, result)) if other else None,
            ("SQNR", lambda one: _noise(one, result)) if other else None,
        ],
    )
    blocks: list[Block] = [
        Notes((f"{result.data}: {result.samples:,} images, {result.seconds:.1f} s",))
    ]
    if result.skipped:
        left_out = (
            f"{plural(len(result.skipped), 'image')} left out, as they can't be read: "
            f"{some(result.skipped, _SKIPPED_SHOWN)}"
        )
        blocks.append(Notes((left_out,), "caution"))
    return *blocks, chart, table, Notes(_notes(result, models))


def _same(one: EvalResult | Agreement, result: EvalResult) -> Cell:
    if one is not result or result.against is None:
        return Cell("reference")
    return Cell.of(result.against.agreement, percent)


def _noise(one: EvalResult | Agreement, result: EvalResult) -> Cell:
    if one is not result or result.against is None:
        return Cell("")
    return Cell.of(result.against.sqnr_db, decibels)


def _notes(result: EvalResult, models: list[EvalResult | Agreement]) -> tuple[str, ...]:
    lines = []
    for one in models:
        if one.top5 is None:
            noun = "class" if one.listed == 1 else "classes"
            lines.append(f"{one.model} names {one.listed} {noun} per image: its top-5 is not known")
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
