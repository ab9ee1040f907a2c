"""What was tried with the oldest and the newest dependencies is what is said of it."""

from __future__ import annotations

import re
import sys

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from release.compat import PAGE, dependencies, project, read_record, table, with_table

ROWS = read_record()
PASSED = [row for row in ROWS if not row["failed"]]


def test_the_page_shows_the_record() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_table(page, ROWS) == page
    lines = list(table(ROWS))
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    assert sum(line.startswith("| `") for line in lines) == len(dependencies())


def test_the_lowest_release_in_each_range_was_seen_to_work() -> None:
    for need in dependencies():
        (bound,) = need.specifier
        assert bound.operator == ">="
        name = canonicalize_name(need.name)
        seen = {row["versions"].get(name) for row in PASSED if row["bound"] == "oldest"}
        # Of 23.5 the registry may have 23.5.8 alone.
        lowest = SpecifierSet(f"=={bound.version}.*")
        assert any(version in lowest for version in seen if version), (need, seen)


def test_each_python_that_is_claimed_was_seen_to_work() -> None:
    claimed = re.findall(r"Python :: (3\.\d+)$", "\n".join(project()["classifiers"]), re.M)
    here = f"3.{sys.version_info.minor}"  # where all tests run
    assert set(claimed) <= {here, *(row["python"] for row in PASSED)}


def test_what_failed_is_told_below_the_table() -> None:
    row = {**ROWS[0], "failed": "export: it\nbroke"}
    *_, verdict = (line for line in table([row]) if line.startswith("| main job"))
    assert verdict == "| main job | FAIL |"
    assert list(table([row]))[-1] == f"- Python {row['python']}, {row['bound']}: `export: it broke`"
