"""The site as `make docs` builds it: strictly, complete, and without anything from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest

import resnet_deploy
from resnet_deploy.cli.main import VERBS, cli
from tests.support.browser import find_browser
from tests.support.devtools import Browser, open_browser
from tests.support.markdown import ROOT
from tests.support.npm import find_node, modules


class Page(HTMLParser):
    """What a page names, and what it asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif "src" in given:
            self.loaded.append(given["src"])
        elif tag == "link" and given.get("rel") not in ("next", "prev", "canonical"):
            self.loaded.append(given["href"])


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def dangling(pages: dict[Path, Page]) -> list[str]:
    """Return the links to files or places that are not there."""
    found = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            there = target.is_file() and (
                not parts.fragment or target not in pages or parts.fragment in pages[target].ids
            )
            # The theme's own link to its start, of which MkDocs writes no file name.
            if not there and not (target.is_dir() and (target / "index.html").is_file()):
                found.append(f"{path.name}: {link}")
    return found


def test_every_link_leads_to_a_page_and_a_place_on_it(pages: dict[Path, Page]) -> None:
    assert len(pages) > 30
    pages = {path: page for path, page in pages.items() if path.name != "404.html"}
    assert dangling(pages) == []
    path = next(path for path in pages if path.name == "index.html")
    assert dangling({path: Page("<a href='nowhere.html'></a><a href='#none'></a>")}) == [
        "index.html: nowhere.html",
        "index.html: #none",
    ]


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        foreign = [url for url in page.loaded if urlsplit(url).netloc]
        assert foreign == [], path
    for path in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", path.read_text("utf-8"))


def test_the_search_works_without_a_server(site: Path, pages: dict[Path, Page]) -> None:
    index = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    assert index.startswith("var __index = {")
    assert "squeeze-and-excitation" in index
    page = pages[site / "index.html"]
    assert "assets/iframe-worker.js" in page.loaded


def test_every_name_of_the_api_has_its_place(site: Path, pages: dict[Path, Page]) -> None:
    places = {place for path, page in pages.items() if "api-" in path.name for place in page.ids}
    names = [name for name in resnet_deploy.__all__ if not name.startswith("_")]
    assert [name for name in names if f"resnet_deploy.{name}" not in places] == []


def test_no_markup_of_docstrings_is_left(pages: dict[Path, Page]) -> None:
    for path in (path for path in pages if "api-" in path.name):
        text = path.read_text(encoding="utf-8")
        assert re.findall(r":(?:class|func|meth|attr|data|exc|mod):.{0,30}", text) == [], path


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_on_the_page_of_its_verb(verb: str, site: Path) -> None:
    text = (site / "reference" / "cli" / f"{verb}.html").read_text(encoding="utf-8")
    command = cli.get_command(click.Context(cli), verb)
    assert command is not None
    flags = [flag for one in command.params if isinstance(one, click.Option) for flag in one.opts]
    assert flags
    assert [flag for flag in flags if flag not in text] == []


AXE = {"axe-core": "4.14.1"}
LOOKED_AT = (
    "index.html",
    "tutorials/own-checkpoint.html",
    "reference/cli/predict.html",
    "explanation/depth.html",
    "how-to/reports.html",
)
FAULTS = """
axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations
  .filter((one) => ['serious', 'critical'].includes(one.impact))
  .map((one) => [one.id, one.nodes[0].html.slice(0, 200), one.nodes[0].failureSummary]))
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(find_browser(), tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="module")
def axe() -> str:
    find_node()
    return (modules(AXE) / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_no_serious_fault_for_readers_with_other_means(
    width: int, dark: bool, site: Path, browser: Browser, axe: str
) -> None:
    """axe-core looks at pages on a desktop in light and on a phone in the dark."""
    for page in LOOKED_AT:
        tab = browser.open((site / page).as_uri(), width=width, height=900, dark=dark)
        tab.evaluate(f"{axe}; 0")
        assert tab.evaluate(FAULTS) == [], page
        # Tables and code are scrolled by themselves, the page is not.
        assert tab.evaluate("document.documentElement.scrollWidth") == width, page
        assert tab.complaints == []
    tab.evaluate("document.querySelector('h1').innerHTML = '<button></button>'")
    assert [fault[0] for fault in tab.evaluate(FAULTS)] == ["button-name"]


def test_the_search_finds_a_page_with_the_keyboard_alone(site: Path, browser: Browser) -> None:
    tab = browser.open((site / "index.html").as_uri(), width=1280, height=900)
    tab.press("Tab")
    tab.evaluate("document.querySelector('.md-search__input').focus()")
    tab.send("Input.insertText", text="squeeze-and-excitation")
    links = "[...document.querySelectorAll('.md-search-result__link')].map((one) => one.href)"
    found = tab.wait_for(f"{links}.length && {links}")
    assert any("reference/family.html" in link for link in found)
    assert [url for url in tab.requests if url.startswith("http")] == []
