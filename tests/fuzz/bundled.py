"""Fuzz what bundles read files with: the C++ core under sanitizers, and the JavaScript decoders.

``make fuzz FUZZ=bundled``, or ``python -m tests.fuzz.bundled [SURFACE …] [--inputs N]``. With clang
and its libFuzzer coverage leads the way; g++ gets changes at random.

A finding is an error that is not of the bundle's own type, what AddressSanitizer or
UndefinedBehaviorSanitizer reports, more than 2 GiB, or more than 30 s. It is kept in
``tests/fuzz/found/``; once fixed, it belongs into the corpus.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.fuzz.engines import CppFuzzer, JavaScriptFuzzer, Tally

Fuzzers = dict[str, tuple[CppFuzzer | JavaScriptFuzzer, Mapping[str, int]]]

RESULTS: Final = Path(__file__).parents[2] / "bench/results/fuzz_bundled.json"
PAGE: Final = Path(__file__).parents[2] / "docs/explanation/fuzzing.md"

_BEGIN: Final = "<!-- figures: python -m tests.fuzz.bundled --record -->\n"
_END: Final = "<!-- end of figures of bundles -->\n"

JAVASCRIPT: Final = ("netpbm", "bmp", "gif", "png", "jpeg", "webp", "files", "labels", "prepare")

SHARES: Final[Mapping[str, int]] = {
    "netpbm": 16,
    "bmp": 2,
    "gif": 5,
    "png": 4,
    "jpeg": 8,
    "webp": 12,
    "files": 6,
    "orientation": 20,
    "prepare": 3,
    "api": 7,
    "open": 8,
    "golden": 1,
    "server": 8,
}
"""Of 100 inputs of C++: more where one costs less (few bytes of BMP may be 0.5 GB of pixels)."""

_FEWER: Final = 100
"""JavaScript takes so much longer."""


def fuzz(
    fuzzers: Fuzzers,
    *,
    inputs: int,
    seconds: int,
    rounds: int,
    seed: int,
) -> Iterator[dict[str, dict[str, Tally]]]:
    """Yield the tallies after each round, by engine and surface.

    ``fuzzers`` has the shares of each engine's surfaces; together they get ``inputs``, JavaScript
    a hundredth of that, in ``rounds`` that take turns, or what ``seconds`` a surface allow.
    """
    tallies = {
        engine: {surface: Tally() for surface in shares} for engine, (_, shares) in fuzzers.items()
    }
    for number in range(rounds):
        for engine, (fuzzer, shares) in fuzzers.items():
            for surface, share in shares.items():
                few = _FEWER if isinstance(fuzzer, JavaScriptFuzzer) else 1
                count = max(inputs * share // (sum(shares.values()) * rounds * few), 1)
                tallies[engine][surface] += fuzzer.run(
                    surface,
                    inputs=count if inputs else -1,
                    seconds=seconds // rounds,
                    seed=seed * 1000 + number,
                )
        yield tallies


def described(
    tallies: Mapping[str, Mapping[str, Tally]], compiler: str, command: Sequence[str]
) -> dict[str, Any]:
    """Return what a record keeps of a run."""
    version = subprocess.run(
        [compiler, "--version"], capture_output=True, text=True, check=False
    ).stdout.partition("\n")[0]
    return {
        "command": " ".join(("python", "-m", "tests.fuzz.bundled", *command)),
        "compiler": version,
        "engines": {
            engine: {
                surface: {
                    "inputs": tally.inputs,
                    "cpu_seconds": round(tally.cpu_seconds, 1),
                    "features": tally.features,
                    "findings": tally.findings,
                }
                for surface, tally in by_surface.items()
            }
            for engine, by_surface in tallies.items()
        },
    }


def write_record(record: Mapping[str, Any]) -> None:
    """Write the figures to ``bench/results``, and the tables of them into the page."""
    RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    before, found, rest = page.partition(_BEGIN)
    if not found:
        raise ValueError(f"{PAGE} has no line {_BEGIN}")
    after = rest.partition(_END)[2]
    PAGE.write_text(f"{before}{_BEGIN}\n{tables(record)}\n{_END}{after}", encoding="utf-8")


def tables(record: Mapping[str, Any]) -> str:
    """Return the figures of a record as Markdown."""
    head = "| surface | inputs | a second of CPU | features | findings |"
    lines = [head, "|---|--:|--:|--:|--:|"]
    for engine, by_surface in record["engines"].items():
        name = {"cpp": "C++", "javascript": "JavaScript"}[engine]
        for surface, figures in by_surface.items():
            count, seconds = figures["inputs"], figures["cpu_seconds"]
            lines.append(
                f"| {name}: {surface} | {count:,} | {count / max(seconds, 0.1):,.0f} "
                f"| {figures['features'] or '-'} | {len(figures['findings'])} |"
            )
        total = sum(figures["inputs"] for figures in by_surface.values())
        bad = sum(len(figures["findings"]) for figures in by_surface.values())
        lines.append(f"| **{name}: all** | **{total:,}** | | | **{bad}** |")
    if "lines" in record:
        lines += ["", "| source of the C++ core | lines reached |", "|---|--:|"]
        for file, (reached, count) in record["lines"].items():
            lines.append(f"| `{file}` | {reached} of {count} ({reached / count:.0%}) |")
    return "\n".join(lines) + "\n"


def main(words: Sequence[str]) -> int:
    """Fuzz as the command line says; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.bundled")
    parser.add_argument("surfaces", nargs="*", metavar="SURFACE", help="all unless named")
    parser.add_argument(
        "--inputs", type=int, default=0, help="of C++, a hundredth of JavaScript; 0: any number"
    )
    parser.add_argument("--seconds", type=int, default=0, help="for each surface; 0: any time")
    parser.add_argument("--rounds", type=int, default=1, help="in which surfaces take turns")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--grow", action="store_true", help="keep what reaches more (clang)")
    parser.add_argument("--record", action="store_true", help="the figures, after each round")
    asked = parser.parse_args(words)
    if not asked.inputs and not asked.seconds:
        asked.seconds = 60
    known = {*SHARES, *JAVASCRIPT}
    if unknown := set(asked.surfaces) - known:
        parser.error(f"no surface {', '.join(unknown)}: {', '.join(sorted(known))}")
    wanted = set(asked.surfaces) or known
    with tempfile.TemporaryDirectory(prefix="fuzz-bundled-") as name:
        cpp = CppFuzzer(Path(name), optimize="-O2")
        shares = {key: share for key, share in SHARES.items() if key in wanted}
        fuzzers: Fuzzers = {"cpp": (cpp, shares)} if shares else {}
        if (node := shutil.which("node")) is not None:
            here = {key: 1 for key in JAVASCRIPT if key in wanted}
            fuzzers |= {"javascript": (JavaScriptFuzzer(Path(name), node), here)} if here else {}
        tallies: Mapping[str, Mapping[str, Tally]] = {}
        limits = {"inputs": asked.inputs, "seconds": asked.seconds, "rounds": asked.rounds}
        for tallies in fuzz(fuzzers, **limits, seed=asked.seed):
            _tell(tallies)
            record = described(tallies, cpp.compiler, words)
            if asked.record:
                write_record(record)
        if asked.grow:
            for surface in shares:
                print(f"{surface}: {cpp.grow(surface)} more in the corpus", flush=True)
        if asked.record and cpp.guided and shares:
            write_record(record | {"lines": cpp.lines(shares)})
    return int(any(tally.findings for some in tallies.values() for tally in some.values()))


def _tell(tallies: Mapping[str, Mapping[str, Tally]]) -> None:
    for engine, by_surface in tallies.items():
        for surface, tally in by_surface.items():
            what = "; ".join(tally.findings) or "no finding"
            print(f"{engine} {surface}: {tally.inputs:,} inputs, {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
