"""Contrast after WCAG 2.1 AA, in both modes: 4.5 for text, 3 for what a chart draws."""

from __future__ import annotations

import importlib.resources
import re

import pytest

_TEXT = [
    *((text, ground) for text in ("text", "quiet") for ground in ("ground", "surface", "sunk")),
    *((text, ground) for text in ("accent",) for ground in ("ground", "surface", "plain-ground")),
    *((name, f"{name}-ground") for name in ("good", "bad", "caution")),
    *((name, "surface") for name in ("good", "bad", "caution")),
    *(("text", f"{name}-ground") for name in ("good", "bad", "plain")),
    ("c1", "surface"),
    ("paper", "c0"),
    ("paper", "c1"),
]
_DRAWN = [
    (name, "surface") for name in ("c0", "c1", "c2", "c3", "c4", "c5", "good", "bad", "quiet")
]


def colours(mode: str) -> dict[str, str]:
    folder = importlib.resources.files("resnet_deploy.report.html_page") / "templates"
    style = (folder / "page.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, flags=re.DOTALL)
    return dict(re.findall(r"--([\w-]+): (#\w{6});", blocks[0 if mode == "light" else 1]))


def luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(front: str, ground: str) -> float:
    low, high = sorted((luminance(front), luminance(ground)))
    return (high + 0.05) / (low + 0.05)


def test_the_formula():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_contrast(mode):
    found = colours(mode)
    weak = {
        (front, ground): round(contrast(found[front], found[ground]), 2)
        for pairs, least in ((_TEXT, 4.5), (_DRAWN, 3.0))
        for front, ground in pairs
        if contrast(found[front], found[ground]) < least
    }
    assert weak == {}
