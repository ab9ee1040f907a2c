"""Charts of what was recorded: the ranges of a layer, and the trials of a tuning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from docgen.figures.sheet import finished
from resnet_deploy.report.chart import Point, Scatter
from resnet_deploy.report.html_page.charts.drawing import WIDTH, Drawing
from resnet_deploy.report.html_page.charts.scale import Scale, draw_axis
from resnet_deploy.report.html_page.charts.scatter import scatter

RECORDS: Final = Path(__file__).parents[1] / "records"


def _record(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RECORDS / name).read_text(encoding="utf-8"))
    return content


def ranges() -> str:
    """Return the histogram of a layer, and what each calibration method covers of it."""
    record = _record("ranges.json")
    counts, width = record["counts"], record["bin_width"]
    title = f"Values of {record['tensor']} on {record['images']} pictures"
    words = "; ".join(f"{name}: up to {end:.2f}" for name, end in record["ends"].items())
    drawing = Drawing(330, title=title, description=words)
    drawing.text(8, 20, title, "heading")
    left, right, top, bottom = 70.0, WIDTH - 20.0, 84.0, 272.0
    across = Scale(0, width * len(counts), left, right)
    up = Scale(0.8, max(counts), bottom, top, log=True)
    draw_axis(drawing, across, top=top, bottom=bottom, label="value behind the ReLU")
    for power in (1, 100, 10_000, 1_000_000):
        if power < max(counts):
            drawing.line((left, up(power)), (right, up(power)), "grid")
            drawing.text(left - 8, up(power) + 4, f"{power:,}", "tick", anchor="end")
    drawing.text(8, 74, "how often", "axis")
    for index, count in enumerate(counts):
        if count:
            start = across(index * width)
            drawing.rect(
                start, up(count), across((index + 1) * width) - start, bottom - up(count), "bar"
            )
    for row, (name, end) in enumerate(sorted(record["ends"].items(), key=lambda item: -item[1])):
        x, y = across(end), 40.0 + 15 * row
        drawing.line((x, y + 3), (x, bottom), name)
        step = end / 255
        drawing.text(x - 6, y + 4, f"{name}: steps of {step:.4f}", "tick", anchor="end")
    return finished(drawing)


def pareto() -> str:
    """Return the trials of a tuning by time and closeness, as ``tune.html`` draws them."""
    record = _record("pareto.json")
    points = [Point(**point) for point in record["points"]]
    return finished(
        scatter(Scatter(record["title"], record["axis"], y_axis=record["y_axis"], points=points))
    )
