"""The code blocks of the project's pages."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The folder of the project."""

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
"""The README and the pages of ``docs`` and its folders."""


def blocks(page: Path, language: str) -> list[str]:
    """Return the text of every fenced block of ``page`` in ``language``."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)
