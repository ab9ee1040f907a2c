"""Write the recorded run into ``docs/peers.md``, ``bench/README.md`` and the plot.

Run it as ``python -m peers.draw`` in ``bench/``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from peers.plot import draw
from peers.table import full, replace_block, short

BENCH = Path(__file__).parents[1]


def write_all(record: dict[str, Any]) -> None:
    """Rewrite the marked blocks and ``docs/peers.svg``."""
    root = BENCH.parent
    page, readme = root / "docs" / "peers.md", BENCH / "README.md"
    for path, block in ((page, short(record)), (readme, full(record))):
        path.write_text(replace_block(path.read_text(encoding="utf-8"), block), encoding="utf-8")
    (root / "docs" / "peers.svg").write_text(draw(record), encoding="utf-8")


if __name__ == "__main__":
    write_all(json.loads((BENCH / "results" / "peers.json").read_text(encoding="utf-8")))
