"""Write all figures into ``docs/images``; with ``--record``, measure what the charts show before.

``python -m docgen.figures --record FOLDER`` takes pictures of CIFAR-10's classes; the figures of a
commit are drawn from ``docgen/records`` and ``bench/results``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from docgen.figures import charts, schemes

IMAGES = Path(__file__).parents[2] / "docs" / "images"
FIGURES = {
    "pipeline.svg": schemes.pipeline,
    "block.svg": schemes.block,
    "ranges.svg": charts.ranges,
    "pareto.svg": charts.pareto,
}


def _keep(name: str, content: dict[str, Any]) -> None:
    charts.RECORDS.mkdir(exist_ok=True)
    (charts.RECORDS / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--record", type=Path, metavar="FOLDER")
    asked = parser.parse_args()
    if asked.record is not None:
        from docgen.figures import measured

        _keep("ranges.json", measured.ranges(asked.record))
    for name, draw in FIGURES.items():
        (IMAGES / name).write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
