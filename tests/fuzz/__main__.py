"""Fuzz the doors: ``make fuzz``, or ``python -m tests.fuzz [DOOR …] [--seconds 60]``.

What bundles hold in C++ and JavaScript has surfaces of its own: ``bundled [SURFACE …]``.

Findings are written to ``tests/fuzz/found/DOOR/``; once fixed, they belong into the corpus.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.fuzz import bundled
from tests.fuzz.coverage import Coverage
from tests.fuzz.doors import SURFACES
from tests.fuzz.loop import FOUND, Door, Found, findings, keep, thin
from tests.fuzz.record import add, count_lines, covered_at, draw
from tests.fuzz.watch import Watch

FOUND_HERE = Path(__file__).with_name("found")


def main() -> None:
    if sys.argv[1:2] == ["bundled"]:
        sys.exit(bundled.main(sys.argv[2:]))
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("doors", nargs="*", choices=[*SURFACES, []], metavar="DOOR")
    parser.add_argument("--inputs", type=int, default=10**9, help="for each door, at most")
    parser.add_argument("--seconds", type=float, default=60, help="for each door, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=("loop", "atheris"), default="loop")
    parser.add_argument("--grow", action="store_true", help="keep what reaches new lines")
    parser.add_argument("--missing", action="store_true", help="list the lines not reached")
    parser.add_argument("--record", action="store_true", help="add to the figures in docs/")
    asked = parser.parse_args()
    bad = sum(_fuzz(name, asked) for name in asked.doors or SURFACES)
    if asked.record:
        count_lines()
        draw()
    sys.exit(1 if bad else 0)


def _fuzz(name: str, asked: argparse.Namespace) -> int:
    """Fuzz one door as ``asked``; return how many kinds of findings there were."""
    surface, watch = SURFACES[name], Watch()
    limits = {"inputs": asked.inputs, "seconds": asked.seconds, "seed": asked.seed}
    started = time.process_time()
    reached: list[bytes] = []
    bad = inputs = 0
    if asked.engine == "atheris":
        from tests.fuzz.guided import guided

        inputs, bad, reached = guided(surface, **limits, tell=_tell)
    else:
        # Lines are only followed where they lead to something.
        coverage = Coverage(surface) if asked.grow else None
        with Door(surface, watch, coverage) as door:
            for found in findings(door, **limits, reached=reached.append):
                if isinstance(found, Found):
                    bad += 1
                    _tell(found)
                else:
                    inputs = found
    print(f"{name}: {inputs:,} inputs", flush=True)
    seconds = time.process_time() - started
    if asked.grow:
        thin(surface, watch, reached)
    if asked.missing or asked.grow:
        lines = covered_at(surface)
        print(f"{name}: {lines.share:.1%} of lines by seeds and corpus", flush=True)
        if asked.missing:
            print(*lines.missing(), sep="\n", flush=True)
    if asked.record:
        run = {"engine": asked.engine, "seed": asked.seed, "inputs": inputs, "findings": bad}
        add(surface, {**run, "cpu_seconds": round(seconds, 1)})
    return bad


def _tell(found: Found) -> None:
    kept = keep(FOUND_HERE / found.surface, found.data, FOUND)
    print(f"{found.surface}: {found.what} ({kept})", flush=True)


if __name__ == "__main__":
    main()
