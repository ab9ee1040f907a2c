"""What was fuzzed, in ``bench/results/fuzz.json``, and its table in ``docs/explanation``."""

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
PAGE: Final = _ROOT / "docs" / "explanation" / "fuzzing.md"

_BEGIN: Final = "<!-- figures: python -m tests.fuzz --record -->\n"
_END: Final = "<!-- end of figures -->\n"

_PACKAGES: Final = ("numpy", "onnx", "pillow", "pyarrow", "safetensors", "torch")


def covered(*surfaces: Surface) -> Coverage:
    """Return which lines the seeds and corpora reach, without what chance makes of them."""
    coverage, watch = Coverage(*surfaces), Watch()
    for surface in surfaces:
        with Door(surface, watch, coverage) as door:
            for data in (*surface.seeds(), *corpus_of(surface)):
                door.read(data)
    return coverage


def covered_at(surface: Surface) -> Coverage:
    """Return which lines of the modules of ``surface`` are reached, by it or another that has them.

    So does the table of the page count.
    """
    modules = set(surface.modules)
    sharing = (one for one in SURFACES.values() if modules & set(one.modules))
    coverage = covered(*sharing)
    coverage.lines = {module: coverage.lines[module] for module in surface.modules}
    return coverage


def add(surface: Surface, run: dict[str, Any]) -> None:
    """Add a ``run`` to the results.

    Inputs of an earlier run with the same seed are the same, so that its figures are replaced.
    """
    content = _read()
    door = content["doors"].get(surface.name, {"runs": []})
    same = {key: run[key] for key in ("engine", "seed")}
    others = [one for one in door["runs"] if not same.items() <= one.items()]
    corpus = corpus_of(surface)
    content["doors"][surface.name] = {
        "runs": [*others, run],
        "seeds": len(surface.seeds()),
        "corpus": len(corpus),
        "corpus_bytes": sum(map(len, corpus)),
        "modules": list(surface.modules),
    }
    content["python"] = platform.python_version()
    content["versions"] = {name: importlib.metadata.version(name) for name in _PACKAGES}
    content["doors"] = {
        name: content["doors"][name] for name in SURFACES if name in content["doors"]
    }
    write_atomically(RESULTS, (json.dumps(content, indent=1) + "\n").encode())


def _read() -> dict[str, Any]:
    if not RESULTS.exists():
        return {"command": "python -m tests.fuzz --record", "doors": {}, "modules": {}}
    content: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return content


def count_lines() -> None:
    """Put into the results which lines of every module the doors reach."""
    content, coverage = _read(), covered(*SURFACES.values())
    content["modules"] = {
        module: {"lines": len(lines), "reached": len(lines & coverage.seen)}
        for module, lines in sorted(coverage.lines.items())
    }
    write_atomically(RESULTS, (json.dumps(content, indent=1) + "\n").encode())


def table() -> str:
    """Return the recorded figures in Markdown."""
    content = _read()
    rows = ["| door | inputs | findings | corpus | lines reached |", "|---|--:|--:|--:|--:|"]
    runs = found = corpus = 0
    for name, door in content["doors"].items():
        own = [sum(run[key] for run in door["runs"]) for key in ("inputs", "findings")]
        modules = [content["modules"][module] for module in door["modules"]]
        rows.append(_row(name, own[0], own[1], door["corpus"], modules))
        runs, found, corpus = runs + own[0], found + own[1], corpus + door["corpus"]
    rows.append(_row("all", runs, found, corpus, list(content["modules"].values())))
    return "\n".join(rows) + "\n"


def _row(name: str, inputs: int, found: int, corpus: int, modules: list[dict[str, int]]) -> str:
    lines, reached = (sum(module[key] for module in modules) for key in ("lines", "reached"))
    share = f"{reached:,} of {lines:,} ({100 * reached / max(1, lines):.0f} %)"
    return f"| {name} | {inputs:,} | {found} | {corpus} | {share} |"


def draw() -> None:
    """Put the table of what is recorded into the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    write_atomically(PAGE, f"{before}{_BEGIN}\n{table()}\n{_END}{after}".encode())
