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
            Section(title="Top-1 accuracy", blocks=_accuracy(result)),
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
        return Verdict(status="plain", word="Measured", sentences=(right,))
    sentences = (right, f"beside {file_name(result.against.model)}: {difference(paired)}")
    if not paired.significant:
        return Verdict(status="plain", word="No significant difference", sentences=sentences)
    if paired.difference > 0:
        return Verdict(status="good", word="More accurate", sentences=sentences)
    return Verdict(status="bad", word="Less accurate", sentences=sentences)


def _tiles(result: EvalResult) -> tuple[Tile, ...]:
    found = [
        Tile(name="Top-1", value=percent(result.top1), detail=plural(result.samples, "image")),
        Tile(name="Top-5", value="not known" if result.top5 is None else percent(result.top5)),
    ]
    if result.paired is not None and result.against is not None:
        low, high = result.paired.interval
        found += [
            Tile(
                name="Difference in points",
                value=points(result.paired.difference),
                detail=f"95 % CI {points(low)} to {points(high)}",
            ),
            Tile(
                name="Same answer",
                value=percent(result.against.agreement),
                detail=f"logits {decibels(result.against.sqnr_db)}",
            ),
        ]
    elif result.calibration_error is not None:
        found.append(
            Tile(name="Calibration error", value=percent(result.calibration_error), detail="ECE")
        )
    return tuple(found)


def _accuracy(result: EvalResult) -> tuple[Block, ...]:
    other = result.against
    models: list[EvalResult | Agreement] = [result, *([] if other is None else [other])]
    chart = Forest(
        title="Top-1 accuracy with its 95 % interval",
        axis="share of images that are right",
        percent=True,
        caption="The line is the 95 % interval, the images being a sample of all there could be."
        + " Both models saw the same images, so their difference is known better than these "
        "intervals show: see the verdict." * (other is not None),
        rows=tuple(
            Estimate(
                label=file_name(one.model),
                value=one.top1,
                low=one.top1_interval[0],
                high=one.top1_interval[1],
                text=percent(one.top1),
            )
            for one in models
        ),
    )
    rows = [_row(one) for one in models]
    headings = ["model", "top-1", "95 % CI", "top-5", "confidence", "ECE"]
    if other is not None:
        headings += ["same top-1", "SQNR"]
        rows[0] += [Cell.of(other.agreement, percent), Cell.of(other.sqnr_db, decibels)]
        rows[1] += ["reference", ""]
    parts: list[Block] = [
        Notes(lines=(f"{result.data}: {result.samples:,} images, {result.seconds:.1f} s",))
    ]
    if result.skipped:
        left_out = (
            f"{plural(len(result.skipped), 'image')} left out, as they can't be read: "
            f"{some(result.skipped, _SKIPPED_SHOWN)}"
        )
        parts.append(Notes(lines=(left_out,), tone="caution"))
    parts += [chart, Table.of("Accuracy of each model", headings, rows)]
    notes = _notes(result, models)
    return *parts, *((Notes(lines=notes),) if notes else ())


def _row(one: EvalResult | Agreement) -> list[Cell | str]:
    low, high = one.top1_interval
    return [
        file_name(one.model),
        Cell.of(one.top1, percent),
        f"{low:.2%} to {high:.2%}",
        Cell.of(one.top5, percent),
        Cell.of(one.mean_confidence, percent),
        Cell.of(one.calibration_error, percent),
    ]


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
