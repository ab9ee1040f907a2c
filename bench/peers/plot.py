"""The fastest runs of all subjects as horizontal bars, one panel per net: a small SVG file."""

from __future__ import annotations

from html import escape
from typing import Any

WIDTH, LEFT, ROW, TOP = 980, 284, 22, 56
COLOURS = {"int8": "#1f77b4", "bf16": "#9467bd", "fp32": "#7f7f7f"}
OURS = "#d62728"


def draw(record: dict[str, Any]) -> str:
    """Return the SVG of batch size 1 on the most threads; shorter bars are faster."""
    threads = max(run["threads"] for run in record["runs"])
    runs = [run for run in record["runs"] if (run["batch"], run["threads"]) == (1, threads)]
    keys = [
        key
        for key in record["labels"]
        if any("min_ms" in run["subjects"].get(key, {}) for run in runs)
    ]
    height = TOP + ROW * len(keys) + 12
    panel = (WIDTH - LEFT) / len(runs)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        _text(8, 20, f"Fastest run in ms, batch size 1, {threads} threads", bold=True),
    ]
    for row, key in enumerate(keys):
        label, precision = record["labels"][key]
        parts.append(_text(LEFT - 8, _middle(row), f"{label}, {precision}", anchor="end"))
    for number, run in enumerate(runs):
        left = LEFT + number * panel
        title = run["net"].replace("resnet", "ResNet-")
        parts.append(_text(left, 44, title, bold=True))
        times = {key: run["subjects"].get(key, {}).get("min_ms") for key in keys}
        longest = max(value for value in times.values() if value is not None)
        for row, key in enumerate(keys):
            if times[key] is not None:
                share = times[key] / longest
                parts += _bar(left, row, share * (panel - 52), times[key], _colour(record, key))
    return "\n".join([*parts, "</svg>", ""])


def _bar(left: float, row: int, length: float, value: float, colour: str) -> list[str]:
    top = TOP + row * ROW
    return [
        f'<rect x="{left:.1f}" y="{top}" width="{length:.1f}" height="{ROW - 6}" fill="{colour}"/>',
        _text(left + length + 4, _middle(row), f"{value:.1f}"),
    ]


def _colour(record: dict[str, Any], key: str) -> str:
    label, precision = record["labels"][key]
    return OURS if label.startswith("resnet-deploy") else COLOURS[precision]


def _middle(row: int) -> int:
    return TOP + row * ROW + 12


def _text(x: float, y: float, text: str, *, anchor: str = "start", bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'
