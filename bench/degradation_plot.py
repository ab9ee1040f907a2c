"""Training and test error against iterations, plain nets beside residual ones: a small SVG file."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from resnet_deploy.report.html_page.charts.drawing import WIDTH, Drawing
from resnet_deploy.report.html_page.charts.scale import Scale, draw_axis

_TOP, _BOTTOM, _HEIGHT = 56.0, 360.0, 462.0
_PANELS = ((False, "Residual nets", 546.0), (True, "Plain nets", 62.0))
_PANEL_WIDTH = WIDTH - 546.0 - 16
_LEGEND_WIDTH, _LEGEND_ROW = 216.0, 19.0

_STYLE = """
text { font: 13px sans-serif; fill: #222 }
.paper { fill: white } .grid { stroke: #e3e3e3 } .tick { fill: #555 } .heading { font-weight: bold }
.line { fill: none; stroke-linejoin: round }
.training { stroke-width: 1.3; stroke-dasharray: 5 3 } .test { stroke-width: 2.8 }
.shallow { stroke: #1f77b4 } .deep { stroke: #d62728 }
"""

Points = list[tuple[float, float]]


def error(top1: float) -> float:
    """Return the share of pictures named wrong, in percent."""
    return 100 * (1 - top1)


def curves(epochs: list[dict[str, Any]]) -> dict[str, Points]:
    """Return the errors by steps: ``training`` in the middle of the epoch it is the mean of."""
    starts = [0, *(epoch["steps"] for epoch in epochs)]
    middles = [(start + end) / 2 for start, end in pairwise(starts)]
    tops = (error(epoch["train_top1"]) for epoch in epochs)
    return {
        "training": list(zip(middles, tops, strict=True)),
        "test": [(epoch["steps"], error(epoch["test_top1"])) for epoch in epochs],
    }


def draw(record: dict[str, Any]) -> str:
    """Return the SVG of what ``degradation.py`` recorded."""
    nets = record["nets"]
    title = "Error of plain and residual nets on CIFAR-10 against iterations"
    drawing = Drawing(_HEIGHT, title=title, description="; ".join(_findings(record)))
    drawing.rect(0, 0, WIDTH, _HEIGHT, "paper")
    found = {name: curves(net["epochs"]) for name, net in nets.items()}
    highest = max(y for kinds in found.values() for points in kinds.values() for _, y in points)
    steps = max(net["epochs"][-1]["steps"] for net in nets.values())
    up = Scale(0, min(100.0, 10 * (highest // 10 + 1)), _BOTTOM, _TOP)
    for plain, heading, left in _PANELS:
        across = Scale(0, steps, left, left + _PANEL_WIDTH)
        _draw_frame(drawing, across, up, heading)
        chosen = sorted((net["depth"], name) for name, net in nets.items() if net["plain"] is plain)
        rows = []
        for style, (_, name) in zip(("shallow", "deep"), chosen, strict=True):
            for kind, points in found[name].items():
                places = [(across(x), up(y)) for x, y in points]
                drawing.path(places, f"line {kind} {style}")
                rows.append((f"{name}, {kind}: {points[-1][1]:.2f} %", f"line {kind} {style}"))
        _draw_legend(drawing, left + _PANEL_WIDTH - _LEGEND_WIDTH, rows)
    for row, line in enumerate(_caption(record, steps)):
        drawing.text(14, _BOTTOM + 66 + 19 * row, line)
    style = f"<style>{_STYLE}</style></svg>\n"
    picture = str(drawing.markup()).removesuffix("</svg>") + style
    return picture.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)


def _draw_frame(drawing: Drawing, across: Scale, up: Scale, heading: str) -> None:
    draw_axis(drawing, across, top=_TOP, bottom=_BOTTOM, label="iterations", tick="{:,.0f}".format)
    for value in up.ticks():
        drawing.line((across.start, up(value)), (across.end, up(value)), "grid")
        drawing.text(across.start - 8, up(value) + 4, f"{value:g}", "tick", anchor="end")
    drawing.text(across.start, 22, heading, "heading")
    drawing.text(across.start - 48, 44, "error, %", "axis")


def _draw_legend(drawing: Drawing, left: float, rows: list[tuple[str, str]]) -> None:
    drawing.rect(left - 6, _TOP + 2, _LEGEND_WIDTH, _LEGEND_ROW * len(rows) + 8, "paper")
    for row, (label, style) in enumerate(rows):
        y = _TOP + 18 + row * _LEGEND_ROW
        drawing.line((left, y - 4), (left + 30, y - 4), style)
        drawing.text(left + 38, y, label)


def _findings(record: dict[str, Any]) -> list[str]:
    return [
        f"{verdict['claim']}: {'yes' if verdict['holds'] else 'no'}, {verdict['deep']:.2f} % and "
        f"{verdict['shallow']:.2f} %"
        for verdict in record["verdicts"]
    ]


def _caption(record: dict[str, Any], steps: int) -> list[str]:
    recipe, paper = record["recipe"], record["paper"]
    return [
        f"One recipe for all: {recipe['epochs']} epochs, {steps:,} steps (the paper: "
        f"{paper['steps']:,}), schedule {recipe['schedule']} (the paper: {paper['schedule']}), "
        f"{record['precision']}.",
        "Dashed: training error, the mean of an epoch's augmented pictures. Bold: test error after "
        "the epoch.",
    ]
