"""Fuzz the doors: ``make fuzz``, or ``python -m tests.fuzz [DOOR …] [--seconds 60]``.

Findings are written to ``tests/fuzz/found/DOOR/``; once mended, they belong into the corpus.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.fuzz.loop import Found, findings
from tests.fuzz.surfaces import SURFACES
from tests.fuzz.watch import Watch

FOUND = Path(__file__).with_name("found")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("doors", nargs="*", choices=[*SURFACES, []], metavar="DOOR")
    parser.add_argument("--inputs", type=int, default=10**9, help="for each door, at most")
    parser.add_argument("--seconds", type=float, default=60, help="for each door, at most")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    watch, bad = Watch(), 0
    for name in asked.doors or SURFACES:
        surface = SURFACES[name]
        for found in findings(
            surface, inputs=asked.inputs, seconds=asked.seconds, seed=asked.seed, watch=watch
        ):
            if isinstance(found, Found):
                bad += 1
                kept = FOUND / name / found.name
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(found.data)
                print(f"{name}: {found.what} ({kept.name})", flush=True)
            else:
                print(f"{name}: {found:,} inputs", flush=True)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
