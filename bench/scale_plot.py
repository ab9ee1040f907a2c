"""Pictures a second against nodes, and what limits them: ``docs/images/scale.svg``."""

from __future__ import annotations

from typing import Any, Final

from resnet_deploy.report.html_page.charts.drawing import WIDTH, Drawing
from resnet_deploy.report.html_page.charts.scale import Scale, draw_axis

_TOP, _BOTTOM, _HEIGHT = 56.0, 380.0, 486.0
_LEFT, _GAP = 70.0, 76.0
_PANEL: Final = (WIDTH - _LEFT - 16 - _GAP) / 2

_COLOURS: Final = {"evaluate int8": "int8", "evaluate fp32": "fp32", "calibrate": "count"}

_STYLE = """
text { font: 13px sans-serif; fill: #222 }
.paper { fill: white } .grid { stroke: #e3e3e3 } .tick { fill: #555 } .heading { font-weight: bold }
.line { fill: none; stroke-linejoin: round; stroke-width: 2.4 }
.ideal { stroke-width: 1.2; stroke-dasharray: 4 4 }
.int8 { stroke: #d62728 } .fp32 { stroke: #1f77b4 } .count { stroke: #2ca02c }
.driver { fill: #222 } .store { fill: #fff; stroke: #222; stroke-width: 1.6 }
"""


def draw(record: dict[str, Any]) -> str:
    """Return the SVG of what ``scale.py`` recorded: a panel for each plan."""
    title = "Pictures a second against nodes, simulated"
    drawing = Drawing(_HEIGHT, title=title, description=_description(record))
    drawing.rect(0, 0, WIDTH, _HEIGHT, "paper")
    panels: dict[str, dict[str, Any]] = {}
    for key, by_nodes in record["jobs"].items():
        name, plan = key.split(", ")
        panels.setdefault(plan, {})[name] = by_nodes
    rates = [
        job["pictures_per_second"]
        for works in panels.values()
        for by_nodes in works.values()
        for job in by_nodes.values()
    ]
    nodes = [int(number) for number in next(iter(record["jobs"].values()))]
    up = Scale(min(rates) / 1.5, max(rates) * 2.5, _BOTTOM, _TOP, log=True)
    for place, (plan, works) in enumerate(panels.items()):
        left = _LEFT + place * (_PANEL + _GAP)
        across = Scale(min(nodes), max(nodes), left, left + _PANEL, log=True)
        _draw_frame(drawing, across, up, f"{plan[0].upper()}{plan[1:]}")
        for name, by_nodes in works.items():
            _draw_work(drawing, across, up, by_nodes, _COLOURS[name])
        if place == 0:
            _draw_legend(drawing, left, list(works))
    cores = record["cluster"]["cores"]
    for row, line in enumerate(
        (
            f"Nodes of {cores} cores; dashed: were there workers alone. "
            "Black: the driver limits; white: the store of the pictures.",
            "Constants measured by bench/scale_constants.py; links, failures and slow shards are "
            "assumed (bench/scale_model.py).",
        )
    ):
        drawing.text(14, _BOTTOM + 68 + 19 * row, line)
    style = f"<style>{_STYLE}</style></svg>\n"
    picture = str(drawing.markup()).removesuffix("</svg>") + style
    return picture.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)


def _draw_frame(drawing: Drawing, across: Scale, up: Scale, heading: str) -> None:
    draw_axis(drawing, across, top=_TOP, bottom=_BOTTOM, label="nodes", tick="{:,.0f}".format)
    for value in up.ticks():
        drawing.line((across.start, up(value)), (across.end, up(value)), "grid")
        drawing.text(across.start - 8, up(value) + 4, f"{value:,.0f}", "tick", anchor="end")
    drawing.text(across.start, 22, heading, "heading")
    drawing.text(across.start - 56, 44, "pictures/s", "axis")


def _draw_work(
    drawing: Drawing, across: Scale, up: Scale, by_nodes: dict[str, Any], colour: str
) -> None:
    points = sorted((int(nodes), job) for nodes, job in by_nodes.items())
    ideal = [(nodes, job["limits"]["workers"]) for nodes, job in points]
    shown = [(nodes, rate) for nodes, rate in ideal if rate <= up.high]
    drawing.path([(across(x), up(y)) for x, y in shown], f"line ideal {colour}")
    places = [(across(nodes), up(job["pictures_per_second"])) for nodes, job in points]
    drawing.path(places, f"line {colour}")
    for place, (_, job) in zip(places, points, strict=True):
        if job["bottleneck"] != "workers":
            kind = "driver" if job["bottleneck"] == "driver" else "store"
            drawing.circle(*place, 4.0, kind, hint=job["bottleneck"])


def _draw_legend(drawing: Drawing, left: float, names: list[str]) -> None:
    for row, name in enumerate(names):
        y = _TOP + 18 + row * 19
        drawing.line((left + 12, y - 4), (left + 42, y - 4), f"line {_COLOURS[name]}")
        drawing.text(left + 50, y, name)


def _description(record: dict[str, Any]) -> str:
    last = [(key, max(by, key=int), by) for key, by in record["jobs"].items()]
    return "; ".join(
        f"{key}: {by[most]['pictures_per_second']:,.0f} pictures/s on {int(most):,} nodes"
        for key, most, by in last
    )
