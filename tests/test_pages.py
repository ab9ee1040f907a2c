"""What the pages say of the project is so: their files exist, their links lead somewhere."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import json
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from docgen import api_pages, command_line, notebooks
from resnet_deploy.artifact.card import Card
from resnet_deploy.artifact.weights_card import WeightsCard
from resnet_deploy.cli.main import cli
from tests.support.markdown import PAGES, ROOT

LINKED = (
    *PAGES,
    ROOT / "README.zh.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "bench" / "README.md",
    ROOT / "examples" / "node" / "README.md",
    ROOT / "examples" / "web" / "README.md",
)
PACKAGE = ROOT / "resnet_deploy"
MADE = {
    ROOT / "docs" / place: text
    for made in (command_line, api_pages, notebooks)
    for place, text in made.pages().items()
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


def commands(page: Path) -> list[str]:
    """Return what ``page`` tells a reader to run of this project's, prompt or none."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^( *)```(?:sh|console)\n(.*?)^\1```", text, re.S | re.M)
    every = [line.strip() for _, block in found for line in block.splitlines()]
    bare = [line.removeprefix("$ ").removeprefix(".venv/bin/") for line in every]
    return [line for line in bare if line.startswith("resnet-deploy ")]


def parsed(command: str) -> None:
    """Have click read ``command``, down to the options of its verb."""
    verb, *words = shlex.split(command, comments=True)[1:]
    found = cli.get_command(click.Context(cli), verb)
    assert found is not None, command
    with click.Context(cli) as context:
        found.make_context(verb, words, parent=context).close()


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_has_verbs_and_options_that_exist(page: Path) -> None:
    for command in commands(page):
        parsed(command)


def test_a_command_that_does_not_exist_would_be_seen() -> None:
    with pytest.raises(click.NoSuchOption):
        parsed("resnet-deploy export --no-such-option")


def identifiers(module: Path) -> set[str]:
    """Return what ``module`` names in code, and is named itself: no comments, no strings."""
    found = {module.stem}
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        for field in ("id", "attr", "arg", "name", "module"):
            name = getattr(node, field, None)
            if isinstance(name, str):
                found.add(name)
    return {name.replace("_", "").lower() for name in found}


def test_a_word_that_only_a_comment_has_is_not_used_in_code(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text('# a stem\ndef parity_of(x):\n    """Of a stem."""\n')
    assert identifiers(tmp_path / "other.py") == {"other", "parityof", "x"}


def test_the_glossary_is_in_order_and_its_terms_are_used_in_code() -> None:
    text = (ROOT / "docs" / "reference" / "glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| `([^`]+)` \|$", text, re.M)
    terms = [term for term, _ in rows]
    assert len(terms) > 30
    assert terms == sorted(terms, key=str.lower)
    for term, place in rows:
        told = re.sub(r"[ -]", "", term.lower())
        assert any(told in name for name in identifiers(ROOT / place)), (term, place)


def test_the_page_on_file_formats_has_every_field_of_a_card() -> None:
    text = (ROOT / "docs" / "reference" / "file-formats.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", text))
    for card in (Card, WeightsCard):
        assert {field.name for field in dataclasses.fields(card)} <= named


def test_what_the_threat_model_says_is_shown_by_tests_that_exist() -> None:
    text = (ROOT / "docs" / "explanation" / "threats.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[^`]+\.py)(?:::(\w+))?`", text)
    assert len(named) > 12
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), (file, test)


def test_the_readme_is_short_and_begins_with_the_commands_and_the_picture() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 120
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
