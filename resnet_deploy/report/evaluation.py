"""An accuracy measurement as a table with a line above it."""

from __future__ import annotations

import math

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from resnet_deploy.results import EvalResult


def evaluation_report(result: EvalResult) -> Group:
    """Return what was measured on, and the table of models below it."""
    # Names go through Text, as brackets in a plain string would be read as styles.
    line = f"{result.data}: {result.samples:,} images, {result.seconds:.1f} s"
    return Group(Text(line, overflow="fold"), evaluation_table(result))


def evaluation_table(result: EvalResult) -> Table:
    """Return one row per model: its accuracy and, beside another model, how alike they are."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", overflow="fold")
    for column in ("top-1", "top-5"):
        table.add_column(column, justify="right")
    other = result.against
    if other is None:
        table.add_row(Text(result.model), percent(result.top1), percent(result.top5))
        return table
    for column in ("same top-1", "SQNR"):
        table.add_column(column, justify="right")
    table.add_row(
        Text(result.model),
        percent(result.top1),
        percent(result.top5),
        percent(other.agreement),
        decibels(other.sqnr_db),
    )
    table.add_row(Text(other.model), percent(other.top1), percent(other.top5), "reference", "")
    return table


def percent(share: float) -> str:
    """Return a share as a percentage with two decimals, never rounded up to all."""
    text = f"{share:.2%}"
    return "99.99%" if text == "100.00%" and share < 1 else text


def decibels(value: float) -> str:
    """Return a ratio in dB with one decimal; identical outputs have no noise."""
    return "identical" if value == math.inf else f"{value:.1f} dB"
