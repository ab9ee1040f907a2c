"""Charts of what was recorded: the ranges of a layer, and the files of all tools."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from docgen.figures.sheet import finished
from resnet_deploy.report.html_page.charts.drawing import WIDTH, Drawing
from resnet_deploy.report.html_page.charts.scale import Scale, draw_axis
from resnet_deploy.report.html_page.charts.scatter import scatter
from resnet_deploy.report.views.pareto import candidate, pareto_front

RECORDS: Final = Path(__file__).parents[1] / "records"
PEERS: Final = Path(__file__).parents[2] / "bench" / "results" / "peers.json"

_TIMED: Final = "resnet50"


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
    """Return what each tool's file costs in time, and in answers that differ from fp32's.

    Drawn of the run of ``make bench`` on the CPU with AMX, as the table of the page on peers is.
    """
    record = json.loads(PEERS.read_text(encoding="utf-8"))
    threads = max(run["threads"] for run in record["runs"])
    (run,) = (
        run
        for run in record["runs"]
        if (run["net"], run["batch"], run["threads"]) == (_TIMED, 1, threads)
    )
    found = {}
    for key, (tool, precision) in record["labels"].items():
        time = run["subjects"].get(key, {}).get("min_ms")
        agreements = [one["subjects"].get(key, {}).get("agreement") for one in record["agreement"]]
        if time is not None and None not in agreements:
            lost = 100 * (1 - sum(agreements) / len(agreements))
            found[f"{tool}, {precision}"] = (time, lost)
    points = []
    for name, (time, lost) in found.items():
        front = _on_front(time, lost, found.values())
        ours = name.startswith("resnet-deploy") and "OpenVINO" in name
        mark = "resnet-deploy" if ours else ""
        point = candidate(name, time, lost, front=front, size=0.05, mark=mark)
        # Our files on OpenVINO lie side by side: the best of them has the name of all.
        points.append(replace(point, named=front or not ours))
    nets = " and ".join(_written(one["net"]) for one in record["agreement"])
    chart = pareto_front(
        points,
        title="Time, and answers that differ from fp32's, of the files of all tools",
        lost=f"% of CIFAR-10 pictures with another class than fp32's, mean of {nets}",
    )
    axis = f"milliseconds per run of {_written(_TIMED)}, batch size 1, {threads} threads"
    return finished(scatter(replace(chart, axis=axis)))


def _on_front(time: float, lost: float, others: Iterable[tuple[float, float]]) -> bool:
    return not any(a <= time and b <= lost and (a, b) != (time, lost) for a, b in others)


def _written(net: str) -> str:
    return net.replace("resnet", "ResNet-")
