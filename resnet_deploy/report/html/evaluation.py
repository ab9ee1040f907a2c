"""An accuracy measurement as a page: how often it is right, on what, and what changed."""

from __future__ import annotations

from resnet_deploy.report.evaluation import decibels, difference, percent, points
from resnet_deploy.report.html.charts.forest import Estimate, forest
from resnet_deploy.report.html.classes import classes_section, confusion_section, trust_section
from resnet_deploy.report.html.page import (
    Block,
    Figure,
    Notes,
    Page,
    Section,
    Table,
    Tile,
    Verdict,
    render_page,
)
from resnet_deploy.report.html.words import file_name, percent_tick, plural
from resnet_deploy.results import Agreement, EvalResult

_SKIPPED_SHOWN = 10


def evaluation_page(result: EvalResult) -> str:
    """Return the page of one evaluation; its size does not grow with classes or images."""
    sections = (
        Section(title="Top-1 accuracy", blocks=_accuracy(result)),
        *classes_section(result),
        *confusion_section(result),
        *trust_section(result),
    )
    page = Page(
        topic="Accuracy",
        title=file_name(result.model),
        verdict=_verdict(result),
        tiles=_tiles(result),
        sections=sections,
        environment=result.environment,
    )
    return render_page(page)


def _verdict(result: EvalResult) -> Verdict:
    low, high = result.top1_interval
    right = (
        f"Right on {percent(result.top1)} of {plural(result.samples, 'image')} of {result.data} "
        f"(95 % interval {low:.2%} to {high:.2%})."
    )
    paired = result.paired
    if paired is None or result.against is None:
        return Verdict(status="plain", word="Measured", sentences=(right,))
    compared = f"Beside {file_name(result.against.model)}: {difference(paired)}."
    if not paired.significant:
        return Verdict(
            status="plain", word="No significant difference", sentences=(right, compared)
        )
    better = paired.difference > 0
    return Verdict(
        status="good" if better else "bad",
        word="More accurate" if better else "Less accurate",
        sentences=(right, compared),
    )


def _tiles(result: EvalResult) -> tuple[Tile, ...]:
    found = [
        Tile(name="Top-1", value=percent(result.top1), detail=plural(result.samples, "image")),
        Tile(name="Top-5", value=_optional(result.top5)),
    ]
    if result.paired is not None and result.against is not None:
        low, high = result.paired.interval
        interval = f"95 % interval {points(low)} to {points(high)}"
        found += [
            Tile(
                name="Difference in points", value=points(result.paired.difference), detail=interval
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
    models: list[EvalResult | Agreement] = [result]
    if result.against is not None:
        models.append(result.against)
    rows = [
        Estimate(
            label=file_name(one.model),
            value=one.top1,
            low=one.top1_interval[0],
            high=one.top1_interval[1],
            text=percent(one.top1),
        )
        for one in models
    ]
    chart = forest(
        rows,
        title="Top-1 accuracy with its 95 % interval",
        description="; ".join(f"{row.label}: {row.text}" for row in rows),
        axis="share of images that are right",
        tick=percent_tick,
    )
    caption = "The line is the 95 % interval, the images being a sample of all there could be."
    if result.against is not None:
        caption += (
            " Both models saw the same images, so their difference is known better than these "
            "intervals show: see the verdict."
        )
    table = Table(
        caption="Accuracy of each model",
        columns=("Model", "Top-1", "95 % interval", "Top-5", "Mean confidence", "ECE"),
        rows=tuple(_row(one) for one in models),
    )
    return Figure(chart=chart, caption=caption), table, *_notes(result)


def _row(one: EvalResult | Agreement) -> tuple[str, ...]:
    low, high = one.top1_interval
    return (
        file_name(one.model),
        percent(one.top1),
        f"{low:.2%} to {high:.2%}",
        _optional(one.top5),
        _optional(one.mean_confidence),
        _optional(one.calibration_error),
    )


def _optional(share: float | None) -> str:
    return "not known" if share is None else percent(share)


def _notes(result: EvalResult) -> tuple[Notes, ...]:
    if not result.skipped:
        return ()
    more = len(result.skipped) - _SKIPPED_SHOWN
    named = ", ".join(result.skipped[:_SKIPPED_SHOWN]) + (f" and {more:,} more" * (more > 0))
    line = f"{plural(len(result.skipped), 'image')} could not be read and were left out: {named}"
    return (Notes(lines=(line,), caution=True),)
