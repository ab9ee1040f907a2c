"""What was fuzzed, in ``bench/results/fuzz.json``, and the table of it in ``docs/fuzzing.md``."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any, Final

from resnet_deploy.artifact.files import write_atomically
from tests.fuzz.coverage import Coverage
from tests.fuzz.doors import SURFACES, Surface
from tests.fuzz.loop import Door, corpus_of
from tests.fuzz.watch import Watch

_ROOT: Final = Path(__file__).parents[2]
RESULTS: Final = _ROOT / "bench" / "results" / "fuzz.json"
PAGE: Final = _ROOT / "docs" / "fuzzing.md"

_BEGIN: Final = "<!-- figures: python -m tests.fuzz --record -->\n"
_END: Final = "<!-- end of figures -->\n"

_PACKAGES: Final = ("numpy", "onnx", "pillow", "pyarrow", "safetensors", "torch")


def covered(surface: Surface, watch: Watch) -> Coverage:
    """Return which lines the door's seeds and corpus reach, without what chance makes of them."""
    coverage = Coverage(surface.modules)
    with Door(surface, watch, coverage) as door:
        for data in (*surface.seeds(), *corpus_of(surface)):
            door.read(data)
    return coverage


def add(
    surface: Surface,
    coverage: Coverage,
    *,
    engine: str,
    seed: int,
    inputs: int,
    findings: int,
    seconds: float,
) -> None:
    """Add a run to the results; ``seconds`` are those of the CPU.

    Inputs of an earlier run with the same seed are the same, so that its figures are replaced.
    """
    content = _read()
    door = content["doors"].setdefault(surface.name, {})
    run = {
        "engine": engine,
        "seed": seed,
        "inputs": inputs,
        "findings": findings,
        "cpu_seconds": round(seconds, 1),
    }
    others = [one for one in door.get("runs", []) if (one["engine"], one["seed"]) != (engine, seed)]
    corpus = corpus_of(surface)
    content["doors"][surface.name] = {
        "runs": [*others, run],
        "seeds": len(surface.seeds()),
        "corpus": len(corpus),
        "corpus_bytes": sum(map(len, corpus)),
        "lines": {module: len(lines) for module, lines in coverage.lines.items()},
        "reached": {module: len(ls & coverage.seen) for module, ls in coverage.lines.items()},
    }
    content["python"] = platform.python_version()
    content["versions"] = {name: importlib.metadata.version(name) for name in _PACKAGES}
    content["doors"] = {
        name: content["doors"][name] for name in SURFACES if name in content["doors"]
    }
    write_atomically(RESULTS, (json.dumps(content, indent=1) + "\n").encode())


def _read() -> dict[str, Any]:
    if not RESULTS.exists():
        return {"command": "python -m tests.fuzz --record", "doors": {}}
    content: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return content


def table() -> str:
    """Return the recorded figures in Markdown."""
    doors = _read()["doors"]
    rows = ["| door | inputs | findings | corpus | lines reached |", "|---|--:|--:|--:|--:|"]
    totals = [0, 0, 0, 0, 0]
    for name, door in doors.items():
        figures = (
            sum(run["inputs"] for run in door["runs"]),
            sum(run["findings"] for run in door["runs"]),
            door["corpus"],
            sum(door["reached"].values()),
            sum(door["lines"].values()),
        )
        totals = [a + b for a, b in zip(totals, figures, strict=True)]
        rows.append(_row(name, *figures))
    rows.append(_row("all", *totals))
    return "\n".join(rows) + "\n"


def _row(name: str, inputs: int, found: int, corpus: int, reached: int, lines: int) -> str:
    share = f"{reached:,} of {lines:,} ({100 * reached / max(1, lines):.0f} %)"
    return f"| {name} | {inputs:,} | {found} | {corpus} | {share} |"


def draw() -> None:
    """Put the table of what is recorded into the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    write_atomically(PAGE, f"{before}{_BEGIN}\n{table()}\n{_END}{after}".encode())
