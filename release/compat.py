"""Try the package with the oldest and the newest dependencies: ``python -m release.compat``.

For each Python and each end of its dependencies' ranges, an environment of its own gets the wheel
of what is committed and runs :mod:`release.main_job`. What came of it is kept in
``release/compatibility.json``, of which the table in ``docs/reference/compatibility.md`` is made.
``--python 3.12`` and ``--bound oldest`` try a part and leave the record of the others.

The oldest ones are the lowest releases in range of which the registry has wheels for that Python;
what they depend on in turn is the newest that fits. Of PyTorch the newest is the release that
``constraints.txt`` names.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from release.archives import build, commit_time

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "release/compatibility.json"
PAGE = ROOT / "docs/reference/compatibility.md"
BEGIN, END = "<!-- table:begin -->\n", "<!-- table:end -->\n"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
BOUNDS = {"oldest": "lowest-direct", "newest": "highest"}
"""What is tried => what uv calls it."""

HELD = "torch"
"""Its newest release is not tried: with the libraries of CUDA, each is some gigabytes."""


def project() -> dict[str, Any]:
    """Return the table ``project`` of ``pyproject.toml``."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found: dict[str, Any] = tomllib.loads(text)["project"]
    return found


def dependencies() -> list[Requirement]:
    """Return what the package needs without extras."""
    return [Requirement(line) for line in project()["dependencies"]]


def find_python(version: str) -> Path | None:
    """Return an interpreter of this ``version``, as ``3.10``, from PATH or pyenv."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = (
        shutil.which(f"python{version}"),
        *sorted(root.glob(f"versions/{version}.*/bin/python")),
    )
    return next((Path(path) for path in found if path and _starts(path)), None)


def _starts(python: str | Path) -> bool:
    # What stands in for an interpreter on PATH may have none behind it.
    done = subprocess.run([python, "-c", ""], capture_output=True, check=False)
    return done.returncode == 0


def uv(*words: object, cache: Path) -> str:
    """Return what uv prints."""
    # It does not read pip's settings, where a machine may say which wheels it has.
    known = os.environ.get("PIP_FIND_LINKS", "").replace(" ", ",")
    environment = {"UV_FIND_LINKS": known, **os.environ, "UV_CACHE_DIR": str(cache)}
    command = [sys.executable, "-m", "uv", *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return done.stdout


def install(wheel: Path, python: Path, bound: str, folder: Path, cache: Path) -> Path:
    """Return the interpreter of a new environment in ``folder`` that holds ``wheel``."""
    uv("venv", "--python", python, "--no-python-downloads", folder / "venv", cache=cache)
    inside = folder / "venv/bin/python"
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    limits, pins = folder / "limits.txt", folder / "pins.txt"
    limits.write_text(next(line for line in pinned if line.startswith(f"{HELD}==")), "utf-8")
    narrowed = ["--constraint", limits] if bound == "newest" else []
    pins.write_text(
        uv(
            *("pip", "compile", ROOT / "pyproject.toml", "--resolution", BOUNDS[bound], *narrowed),
            *("--only-binary", ":all:", "--python", inside),
            cache=cache,
        ),
        "utf-8",
    )
    uv("pip", "install", "--python", inside, "--requirements", pins, cache=cache)
    uv("pip", "install", "--python", inside, "--no-deps", wheel, cache=cache)
    uv("pip", "check", "--python", inside, cache=cache)
    return inside


def tried(wheel: Path, version: str, bound: str, cache: Path) -> dict[str, Any]:
    """Return what came of one environment: a row of the record."""
    row: dict[str, Any] = {
        "python": version,
        "bound": bound,
        "date": datetime.date.today().isoformat(),
        "failed": "",
        "versions": {},
    }
    python = find_python(version)
    if python is None:
        return {**row, "failed": f"no Python {version} on this machine"}
    with tempfile.TemporaryDirectory(prefix="compat-") as name:
        folder = Path(name)
        try:
            inside = install(wheel, python, bound, folder, cache)
            listed = json.loads(
                uv("pip", "list", "--format", "json", "--python", inside, cache=cache)
            )
        except RuntimeError as error:
            return {**row, "failed": f"installation: {error}"}
        row["versions"] = wanted(listed)
        job = folder / "job"
        job.mkdir()
        places = (ROOT / "release/main_job.py", job, ROOT / "artifacts")
        command = [str(inside), "-I", *map(str, places)]
        # PYTHONPATH would lead to the package that lies here, not to the one that was installed.
        own = {name: word for name, word in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run(command, env=own, capture_output=True, text=True, check=False)
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode != 0:
        last = steps[-1] if steps else {"step": "start", "error": done.stderr.strip()[-500:]}
        row["failed"] = f"{last['step']}: {last['error'] or done.stderr.strip()[-500:]}"
    return row


def wanted(listed: Sequence[dict[str, str]]) -> dict[str, str]:
    """Return the releases of what the package itself depends on, of all that is installed."""
    names = {canonicalize_name(need.name) for need in dependencies()}
    found = {canonicalize_name(one["name"]): one["version"] for one in listed}
    return {name: found[name] for name in sorted(names & set(found))}


def read_record() -> list[dict[str, Any]]:
    """Return the rows of the record."""
    found: list[dict[str, Any]] = json.loads(RECORD.read_text(encoding="utf-8"))
    return found


def keep(row: dict[str, Any]) -> None:
    """Put a row into the record, in the place of the one it replaces, and write the page."""
    rows = {(one["python"], one["bound"]): one for one in read_record()}
    rows[row["python"], row["bound"]] = row
    order = sorted(rows.values(), key=lambda one: (PYTHONS.index(one["python"]), one["bound"]))
    RECORD.write_text(json.dumps(order, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), order), encoding="utf-8")


def with_table(page: str, rows: Sequence[dict[str, Any]]) -> str:
    """Return the text of the page with the table of ``rows`` in it."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return "".join([before, BEGIN, *(f"{line}\n" for line in table(rows)), END, after])


def table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the table, an environment being a column, and what failed below it."""
    cells = [["Python"], ["dependencies"], ["main job"], ["on"]]
    cells += [[f"`{canonicalize_name(need.name)}`"] for need in dependencies()]
    for row in rows:
        cells[0].append(row["python"])
        cells[1].append(row["bound"])
        cells[2].append("FAIL" if row["failed"] else "PASS")
        cells[3].append(row["date"])
        for line in cells[4:]:
            line.append(row["versions"].get(line[0].strip("`"), ""))
    for number, line in enumerate(cells):
        yield f"| {' | '.join(line)} |"
        if number == 0:
            yield f"| {' | '.join(['---'] * len(line))} |"
    failed = [row for row in rows if row["failed"]]
    if failed:
        yield ""
    for row in failed:
        yield f"- Python {row['python']}, {row['bound']}: `{' '.join(row['failed'].split())}`"


def main() -> None:
    """Try what was asked for, keep what came of it, and end with 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m release.compat", description=__doc__)
    parser.add_argument("--python", action="append", choices=PYTHONS)
    parser.add_argument("--bound", action="append", choices=list(BOUNDS))
    words = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory(prefix="compat-") as name:
        _, wheel = build(ROOT, Path(name, "build"), commit_time(ROOT))
        for bound in words.bound or BOUNDS:
            # One end's packages serve all Pythons; both ends' would fill a disk.
            with tempfile.TemporaryDirectory(prefix="compat-") as fresh:
                cache = Path(os.environ.get("UV_CACHE_DIR", fresh))
                for version in words.python or PYTHONS:
                    row = tried(wheel, version, bound, cache)
                    keep(row)
                    good = good and not row["failed"]
                    print(f"Python {version}, {bound}: {row['failed'] or 'PASS'}", flush=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
