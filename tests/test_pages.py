"""What the pages say of the project is so: their files exist, their links lead somewhere."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

from docgen import api_pages, command_line
from tests.support.markdown import PAGES, ROOT

LINKED = (*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "bench" / "README.md")
PACKAGE = ROOT / "resnet_deploy"
MADE = {
    ROOT / "docs" / place: text
    for place, text in {**command_line.pages(), **api_pages.pages()}.items()
}
"""Pages that only the site has."""


def text_of(page: Path) -> str:
    return MADE[page] if page in MADE else page.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """Return what links can name in ``page``: its headings, as GitHub spells them."""
    headings = re.findall(r"^#+ (.*)$", text_of(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path in MADE or path.exists(), target
        assert not anchor or anchor in anchors(path), target


def test_what_the_threat_model_says_is_shown_by_tests_that_exist() -> None:
    text = (ROOT / "docs" / "explanation" / "threats.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[^`]+\.py)(?:::(\w+))?`", text)
    assert len(named) > 12
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), (file, test)


def test_the_readme_is_short_and_begins_with_the_commands_and_the_picture() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 200
    top = lines[:15]
    assert top.index("make demo") < top.index("make test")
    assert any("docs/images/demo.svg" in line for line in top)


def test_the_picture_shows_the_recorded_run() -> None:
    path = ROOT / "bench" / "demo_plot.py"
    spec = importlib.util.spec_from_file_location("demo_plot", path)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    record = json.loads(module.RECORD.read_text(encoding="utf-8"))
    assert module.draw(record) == module.FIGURE.read_text(encoding="utf-8")
    shown = [f"{row['min_ms']:.1f} ms" for row in record["subjects"]]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(time in readme for time in shown)


def test_each_thing_to_add_takes_at_most_four_files_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    sections = re.split(r"^### ", text.partition("## Adding things")[2], flags=re.M)[1:]
    assert len(sections) == 8
    for section in sections:
        steps = re.findall(r"^\d\. `([^`]+)`", section, re.M)
        assert 1 <= len(steps) <= 4, section
        for step in steps:
            path = PACKAGE / step
            # NAME stands for the new one: others of its kind lie there.
            assert path.exists() or list(path.parent.glob(path.name.replace("NAME", "*"))), step


def test_the_rooms_of_the_design_are_those_of_the_package() -> None:
    text = (ROOT / "docs" / "explanation" / "design.md").read_text(encoding="utf-8")
    table = text.partition("| room |")[2].partition("\n\n")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", table, re.M)
    rooms = {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
    found = {
        path.name + ("/" if path.is_dir() else "")
        for path in PACKAGE.iterdir()
        if path.name not in ("__init__.py", "__main__.py", "__pycache__", "py.typed")
    }
    assert rooms == found
