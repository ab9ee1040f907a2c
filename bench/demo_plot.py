"""What ``make demo`` shows, as bars: ``docs/images/demo.svg`` from ``results/resnet34.json``.

Run it as ``python bench/demo_plot.py``; ``bench/int8_speed.py`` does so after each recording.
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RECORD = HERE / "results" / "resnet34.json"
FIGURE = HERE.parent / "docs" / "images" / "demo.svg"

WIDTH, LEFT, RIGHT, ROW, TOP = 760, 176, 224, 34, 44
COLOURS = ("#8c8c8c", "#1f77b4", "#d62728")


def draw(result: dict[str, Any]) -> str:
    """Return an SVG with the fastest run of each subject of a bench; shorter bars are faster."""
    subjects, reference = result["subjects"], result["subjects"][0]["subject"]["label"]
    medians = {
        ratio["subject"]: ratio["median"]
        for ratio in result["ratios"]
        if ratio["reference"] == reference
    }
    against = f"speed over {reference}"
    height = TOP + ROW * len(subjects) + 34
    longest = max(row["min_ms"] for row in subjects)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="14">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        _text(14, 26, f"ResNet-34, one image of 224x224: fastest run, and {against}", bold=True),
    ]
    for number, row in enumerate(subjects):
        label, top = row["subject"]["label"], TOP + number * ROW
        length = row["min_ms"] / longest * (WIDTH - LEFT - RIGHT)
        said = [f"{row['min_ms']:.1f} ms", f"{row['file_bytes'] / 1e6:.0f} MB"]
        if label in medians:
            said.insert(1, f"{medians[label]:.1f}x")
        parts += [
            _text(LEFT - 10, top + 17, label, anchor="end"),
            f'<rect x="{LEFT}" y="{top}" width="{length:.1f}" height="{ROW - 10}" '
            f'fill="{COLOURS[number % len(COLOURS)]}"/>',
            _text(LEFT + length + 8, top + 17, ", ".join(said)),
        ]
    return "\n".join([*parts, _text(14, height - 12, _where(result), grey=True), "</svg>", ""])


def _where(result: dict[str, Any]) -> str:
    where, threads = result["environment"], result["subjects"][0]["subject"]["threads"]
    shown = {"avx512_vnni": "AVX512-VNNI", "amx_int8": "AMX"}
    isa = " and ".join(name for key, name in shown.items() if key in where["isa"])
    cpu = where["cpu"].replace("(R)", "")
    place = f"{cpu}{f' with {isa}' if isa else ''}, {threads} threads"
    return f"{place}; ratios: medians of paired rounds"


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", bold: bool = False, grey: bool = False
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    colour = "#666666" if grey else "#222222"
    place = f'x="{x:.1f}" y="{y}" text-anchor="{anchor}"'
    return f'<text {place} fill="{colour}"{weight}>{escape(text)}</text>'


def main() -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    FIGURE.write_text(draw(record), encoding="utf-8")


if __name__ == "__main__":
    main()
