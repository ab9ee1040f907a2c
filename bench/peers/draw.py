"""Write the recorded runs into the READMEs, ``docs/explanation/peers.md`` and the plot.

Run it as ``python -m peers.draw`` in ``bench/``.
"""

from __future__ import annotations

import json
from pathlib import Path

from peers.as_cpu import KINDS
from peers.plot import draw
from peers.table import Record, by_cpu, full, replace_block, short

BENCH = Path(__file__).parents[1]
RECORD = BENCH / "results" / "peers.json"


def record_as(kind: str) -> Path:
    """Return where the run is recorded that was shown a CPU of ``kind``."""
    return BENCH / "results" / f"peers-{kind}.json"


def write_all() -> None:
    """Rewrite the marked blocks and ``docs/images/peers.svg`` from what is recorded."""
    root = BENCH.parent
    record = _read(RECORD)
    lesser = {kind: _read(path) for kind in KINDS if (path := record_as(kind)).exists()}
    cpus = by_cpu(record, lesser)
    blocks = [
        (root / "README.md", "cpus", cpus),
        (root / "docs" / "explanation" / "peers.md", "cpus", cpus),
        (root / "docs" / "explanation" / "peers.md", "peers", short(record)),
        (BENCH / "README.md", "peers", full(record)),
        *((BENCH / "README.md", f"peers-{kind}", full(known)) for kind, known in lesser.items()),
    ]
    for path, name, block in blocks:
        text = path.read_text(encoding="utf-8")
        path.write_text(replace_block(text, name, block), encoding="utf-8")
    (root / "docs" / "images" / "peers.svg").write_text(draw(record), encoding="utf-8")


def _read(path: Path) -> Record:
    found: Record = json.loads(path.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    write_all()
