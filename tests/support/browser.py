"""A headless Chromium that looks at one file: its DOM, its pictures, what it says and asks for."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from docgen.browser import QUIET, installed

_SECONDS = 60


@dataclass(frozen=True)
class Look:
    """What was seen of one page in one colour scheme; ``requests`` are those of the page itself."""

    dom: str
    console: tuple[str, ...]
    requests: tuple[str, ...]
    screenshot: Image.Image
    pdf: bytes


def brightness(picture: Image.Image) -> float:
    """Return the mean of all pixels, 0 to 255."""
    histogram = picture.convert("L").histogram()
    return sum(level * count for level, count in enumerate(histogram)) / sum(histogram)


def colours(picture: Image.Image) -> int:
    """Return how many colours there are: one in a blank page, many in text with smooth edges."""
    return len(picture.convert("RGB").getcolors(picture.width * picture.height) or ())


def find_browser() -> str:
    """Return a Chromium; without one the test is skipped, and fails where CI should have it."""
    found = installed()
    if found is not None:
        return found
    reason = "no Chromium to look at the pages with: apt-get install chromium"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def look(browser: str, page: Path, folder: Path, *, dark: bool = False, height: int = 1600) -> Look:
    """Open ``page`` and return what came of it; files are written below ``folder``."""
    folder.mkdir(parents=True)
    log, screenshot, pdf = folder / "net.json", folder / "page.png", folder / "page.pdf"
    command = [
        browser,
        *QUIET,
        f"--user-data-dir={folder / 'profile'}",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        f"--log-net-log={log}",
        "--enable-logging=stderr",
        f"--window-size=1200,{height}",
        f"--screenshot={screenshot}",
        f"--print-to-pdf={pdf}",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with Image.open(screenshot) as image:
        picture = image.convert("RGB")
    console = re.findall(r"CONSOLE[^]]*\](.*)", done.stderr)
    return Look(
        dom=done.stdout,
        console=tuple(console),
        requests=_requests(log),
        screenshot=picture,
        pdf=pdf.read_bytes(),
    )


def _requests(log: Path) -> tuple[str, ...]:
    """Return the URLs that a page asked for; the browser's own have no origin."""
    events = json.loads(log.read_text())["events"]
    every = [event.get("params", {}) for event in events]
    return tuple(
        one["url"]
        for one in every
        if "url" in one and one.get("initiator", "not an origin") != "not an origin"
    )
