"""Reading the pages of a web bundle."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from tests.support.devtools import Browser, Tab
from tests.support.markdown import blocks
from tests.support.static_server import Site


def verdict_of(tab: Tab) -> dict[str, Any]:
    shown = tab.wait_for("document.documentElement.dataset.verdict", 120)
    report: dict[str, Any] = json.loads(text(tab, "report"))
    assert (shown == "PASS") is report["passed"]
    return report


def text(tab: Tab, name: str) -> str:
    return str(tab.evaluate(f"document.getElementById({json.dumps(name)}).textContent"))


def is_shown(tab: Tab, name: str) -> bool:
    return bool(tab.evaluate(f"document.getElementById({json.dumps(name)}).checkVisibility()"))


def open_page(browser: Browser, address: str) -> Tab:
    tab = browser.open(f"{address}/")
    tab.wait_for("document.getElementById('status').textContent.startsWith('Ready')")
    return tab


def shown_classes(tab: Tab, picture: Path) -> list[tuple[str, float]]:
    """Return labels and shares as the page shows them once it is done with ``picture``."""
    start = json.dumps(f"{picture.name}: ")
    tab.wait_for(f"document.getElementById('status').textContent.startsWith({start})")
    found = tab.evaluate(
        "[...document.querySelectorAll('#classes li')].map((line) =>"
        " [line.firstElementChild.textContent, line.querySelector('meter').value])"
    )
    return [(label, share) for label, share in found]


def answer_in_own_page(browser: Browser, site: Site, bundle: Path, picture: Path) -> Any:
    """Return what the code of the bundle's README prints last, in a page of its own."""
    (code,) = blocks(bundle / "README.md", "js")
    data = base64.b64encode(picture.read_bytes()).decode()
    head = (
        "window.printed = []; console.log = (value) => printed.push(value);"
        f" window.file = new File([Uint8Array.fromBase64('{data}')], '{picture.name}');"
    )
    scripts = "<script src=head.js></script><script type=module src=mine.js></script>"
    pages = {"mine.html": scripts, "head.js": head, "mine.js": code}
    site.replaced |= {name: text.encode() for name, text in pages.items()}
    tab = browser.open(f"{site.address}/mine.html")
    return tab.wait_for("typeof printed.at(-1) === 'object' && printed.at(-1)")


def clean(tab: Tab, address: str) -> None:
    """Nothing was complained about, nobody else was asked for anything."""
    assert tab.complaints == []
    others = [url for url in tab.requests if not url.startswith(f"{address}/")]
    assert others == []
