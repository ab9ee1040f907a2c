"""The pictures of the pages are those that their scripts draw of what is recorded."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from docgen.figures.__main__ import FIGURES, IMAGES
from tests.support.markdown import PAGES


@pytest.mark.parametrize("name", FIGURES)
def test_a_picture_is_as_drawn_and_shown(name: str) -> None:
    text = FIGURES[name]()
    assert (IMAGES / name).read_text(encoding="utf-8") == text, "python -m docgen.figures"
    picture = ET.fromstring(text)
    assert picture.find("{http://www.w3.org/2000/svg}title") is not None
    assert any(f"images/{name}" in page.read_text(encoding="utf-8") for page in PAGES)
