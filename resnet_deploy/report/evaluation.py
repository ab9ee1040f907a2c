"""An accuracy measurement as tables: the models, what changed, class by class."""

from __future__ import annotations

import math

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from resnet_deploy.results import Agreement, ClassAccuracy, EvalResult, PairedTop1

_ALL_CLASSES = 20
"""Up to this many classes are all listed; of more, those that lost most."""

_WORST_CLASSES = 10
_CHANGES_SHOWN = 10
_SKIPPED_SHOWN = 3


def evaluation_report(result: EvalResult) -> Group:
    """Return what was measured on, the table of models, and what changed between them."""
    # Names go through Text, as brackets in a plain string would be read as styles.
    line = f"{result.data}: {result.samples:,} images, {result.seconds:.1f} s"
    parts: list[RenderableType] = [Text(line, overflow="fold")]
    if result.skipped:
        parts.append(Text(_skipped(result.skipped), style="yellow", overflow="fold"))
    parts.append(evaluation_table(result))
    for one in (result, result.against):
        if one is not None and one.top5 is None:
            noun = "class" if one.listed == 1 else "classes"
            parts.append(
                Text(f"  {one.model} names {one.listed} {noun} per image: its top-5 is not known")
            )
    if result.paired is not None:
        parts.append(Text(f"  {difference(result.paired)}", style="bold"))
        parts.append(Text(f"  {_changes(result, result.paired)}"))
    if result.calibration_drift is not None and result.confidence_drift is not None:
        parts.append(
            Text(
                f"  calibration error {points(result.calibration_drift)} points, mean confidence "
                f"{points(result.confidence_drift)} points"
            )
        )
    return Group(*parts, *_class_table(result), *_change_table(result))


def evaluation_table(result: EvalResult) -> Table:
    """Return one row per model: its accuracy and, beside another model, how alike they are."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", overflow="fold")
    other = result.against
    headings = ("top-1", "95 % CI", "top-5", "confidence", "ECE")
    for heading in (*headings, *(("same top-1", "SQNR") if other else ())):
        table.add_column(heading, justify="right")
    if other is None:
        table.add_row(Text(result.model), *_accuracy(result))
        return table
    alike = (percent(other.agreement), decibels(other.sqnr_db))
    table.add_row(Text(result.model), *_accuracy(result), *alike)
    table.add_row(Text(other.model), *_accuracy(other), "reference", "")
    return table


def difference(paired: PairedTop1) -> str:
    """Return the difference in top-1 as a sentence, with its interval, test and verdict."""
    low, high = paired.interval
    p = f"p = {paired.p_value:.2g}" if paired.p_value >= 0.001 else "p < 0.001"
    verdict = "significant" if paired.significant else "not significant"
    return (
        f"top-1 {points(paired.difference)} points (95 % CI {points(low)} to {points(high)}; "
        f"McNemar {p}): {verdict}"
    )


def points(share: float) -> str:
    """Return a signed share in percentage points with two decimals."""
    text = f"{100 * share:+.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def percent(share: float) -> str:
    """Return a share as a percentage with two decimals, never rounded up to all."""
    text = f"{share:.2%}"
    return "99.99%" if text == "100.00%" and share < 1 else text


def decibels(value: float) -> str:
    """Return a ratio in dB with one decimal; identical outputs have no noise."""
    return "identical" if value == math.inf else f"{value:.1f} dB"


def _accuracy(one: EvalResult | Agreement) -> tuple[str, str, str, str, str]:
    low, high = one.top1_interval
    return (
        percent(one.top1),
        f"{low:.2%} to {high:.2%}",
        _optional(one.top5),
        _optional(one.mean_confidence),
        _optional(one.calibration_error),
    )


def _optional(share: float | None) -> str:
    return "" if share is None else percent(share)


def _skipped(names: tuple[str, ...]) -> str:
    first = ", ".join(names[:_SKIPPED_SHOWN])
    more = ", …" if len(names) > _SKIPPED_SHOWN else ""
    noun = "image" if len(names) == 1 else "images"
    return f"{len(names):,} {noun} left out, as they can't be read: {first}{more}"


def _changes(result: EvalResult, paired: PairedTop1) -> str:
    """Return how many answers became right, became wrong, and are wrong in another way."""
    assert result.against is not None
    changed = result.against.top1_equal.count(False)
    other = changed - paired.newly_right - paired.newly_wrong
    return (
        f"changed answers: {changed:,} ({paired.newly_right:,} newly right, "
        f"{paired.newly_wrong:,} newly wrong, {other:,} wrong in another way)"
    )


def _class_table(result: EvalResult) -> list[RenderableType]:
    """Return the accuracy of every class, or of those that lost most when they are many."""
    shown, title = list(result.per_class), "class by class"
    if len(shown) > _ALL_CLASSES:
        shown = _worst(result.per_class)
        what = "lost most" if result.against else "are hardest"
        title = f"the {len(shown)} of {len(result.per_class):,} classes that {what}"
    if not shown:
        return []
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("class", overflow="fold")
    for heading in ("images", "top-1", *(("reference", "points") if result.against else ())):
        table.add_column(heading, justify="right")
    for one in shown:
        row = [f"{one.samples:,}", percent(one.top1)]
        if one.against_top1 is not None and one.difference is not None:
            row += [percent(one.against_top1), points(one.difference)]
        table.add_row(Text(one.name), *row)
    return [Text(f"\n  {title}"), table]


def _worst(classes: tuple[ClassAccuracy, ...]) -> list[ClassAccuracy]:
    """Return the classes that lost against the other model, or are hardest if there is none."""
    lost = [one for one in classes if one.difference is None or one.difference < 0]
    return sorted(lost, key=lambda one: (one.difference or 0.0, one.top1))[:_WORST_CLASSES]


def _change_table(result: EvalResult) -> list[RenderableType]:
    if not result.confusion_changes:
        return []
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("class", "reference says", "model says"):
        table.add_column(heading, overflow="fold")
    table.add_column("images", justify="right")
    for one in result.confusion_changes[:_CHANGES_SHOWN]:
        table.add_row(Text(one.truth), Text(one.before), Text(one.after), f"{one.samples:,}")
    return [Text("  most frequent changes of the answer"), table]
