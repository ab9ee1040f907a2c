"""Pictures of the HTML reports, taken in Chromium while the site is built.

The reports are made of files that lie in the project, by the functions that users call. A page
asks for one by ``<!-- screenshot: NAME: what is on it -->``. Where no Chromium is installed the
page says so instead, and so does the build; in CI that is an error.
"""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from PIL import Image

import resnet_deploy as rd
from docgen.browser import QUIET, installed

logger = logging.getLogger("mkdocs.docgen")

_ROOT: Final = Path(__file__).resolve().parents[1]
_FP32: Final = _ROOT / "artifacts" / "resnet20-cifar10.onnx"
_INT8: Final = _ROOT / "artifacts" / "resnet20-cifar10.int8.onnx"
_WIDTH, _HEIGHT, _SECONDS = 1000, 800, 120
_MARK: Final = re.compile(r"<!-- screenshot: ([\w-]+): (.*?) -->", re.S)


def _write_reports(folder: Path) -> list[str]:
    """Write the pages into ``folder``; return their names in order."""
    images = folder / "images"
    subprocess.run([sys.executable, _ROOT / "examples" / "signs.py", images], check=True)
    results = {
        "summary": rd.summary(_INT8),
        "verify": rd.verify(_INT8, against=_FP32, data=images / "test", threads=1),
    }
    for name, result in results.items():
        result.report(folder / f"{name}.html")
    return list(results)


def take() -> Mapping[str, bytes]:
    """Return a picture of the top of each report by its place in the site; none, no browser.

    Raises:
        RuntimeError: there is no browser, and this is CI.
    """
    browser = installed()
    if browser is None:
        if os.environ.get("CI"):
            raise RuntimeError("no Chromium to look at the reports with: apt-get install chromium")
        logger.info("no Chromium (apt-get install chromium): screenshots of reports are left out")
        return {}
    with tempfile.TemporaryDirectory(prefix=".resnet-deploy-docs-") as name:
        folder = Path(name)
        names = _write_reports(folder)
        # One below the other: a browser takes a second to start.
        frames = "".join(f"<iframe src='{one}.html'></iframe>" for one in names)
        style = f"width: 100%; height: {_HEIGHT}px; border: 0; display: block"
        page = folder / "every.html"
        page.write_text(
            f"<!DOCTYPE html><style>body {{ margin: 0 }} iframe {{ {style} }}</style>{frames}",
            encoding="utf-8",
        )
        shot = folder / "every.png"
        command = [
            browser,
            *QUIET,
            f"--user-data-dir={folder / 'profile'}",
            f"--window-size={_WIDTH},{_HEIGHT * len(names)}",
            f"--screenshot={shot}",
            page.as_uri(),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS)
        with Image.open(shot) as every:
            return {place(one): _part(every, number) for number, one in enumerate(names)}


def place(name: str) -> str:
    """Return where the site has the picture ``name``."""
    return f"images/reports/{name}.png"


def with_pictures(markdown: str, up: str, there: bool) -> str:
    """Return the page with its pictures, or with what there is to say; ``up`` leads to the top."""

    def shown(match: re.Match[str]) -> str:
        words = " ".join(match[2].split())
        return f"![{words}]({up}{place(match[1])})" if there else f"*Not taken here: {words}.*"

    return _MARK.sub(shown, markdown)


def _part(every: Image.Image, number: int) -> bytes:
    part = every.crop((0, number * _HEIGHT, _WIDTH, (number + 1) * _HEIGHT))
    content = io.BytesIO()
    part.convert("RGB").quantize(128).save(content, "PNG", optimize=True)
    return content.getvalue()
