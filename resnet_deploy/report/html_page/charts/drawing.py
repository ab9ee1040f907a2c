"""A drawing in SVG whose colours come from the page's stylesheet, by class."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from markupsafe import Markup

WIDTH = 960
"""Units across; the page scales a drawing to the room there is."""

FONT = 13
"""Units of the stylesheet's ``svg text``."""

_NARROW = 0.62
"""Mean width of a Latin character of the widest usual system font, in font sizes."""


class Drawing:
    """An SVG image of ``WIDTH`` by ``height`` units, read out as ``title`` and ``description``."""

    def __init__(self, height: float, *, title: str, description: str) -> None:
        size = {"viewBox": f"0 0 {WIDTH} {_number(height)}", "role": "img"}
        self._root = ET.Element("svg", size)
        ET.SubElement(self._root, "title").text = title
        ET.SubElement(self._root, "desc").text = description

    def line(self, start: tuple[float, float], end: tuple[float, float], style: str) -> None:
        """Draw a straight line."""
        ends = {"x1": start[0], "y1": start[1], "x2": end[0], "y2": end[1]}
        self._add("line", style, ends)

    def rect(
        self, x: float, y: float, width: float, height: float, style: str, *, hint: str = ""
    ) -> None:
        """Draw a rectangle with slightly round corners; ``hint`` is shown on hovering."""
        sides = {"x": x, "y": y, "width": max(width, 0.0), "height": height, "rx": 2.0}
        self._add("rect", style, sides, hint=hint)

    def circle(self, x: float, y: float, radius: float, style: str, *, hint: str = "") -> None:
        """Draw a disc; ``hint`` is shown on hovering."""
        self._add("circle", style, {"cx": x, "cy": y, "r": radius}, hint=hint)

    def path(
        self, points: Sequence[tuple[float, float]], style: str, *, closed: bool = False
    ) -> None:
        """Draw a line through ``points``."""
        steps = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
        self._add("path", style, {}).set("d", f"M{steps}{'Z' if closed else ''}")

    def text(
        self,
        x: float,
        y: float,
        content: str,
        style: str = "",
        *,
        anchor: str = "start",
        room: float | None = None,
    ) -> None:
        """Write one line whose baseline is at ``y``, shortened to ``room`` units."""
        shown = content if room is None else shortened(content, room)
        element = self._add("text", style, {"x": x, "y": y})
        if anchor != "start":
            element.set("text-anchor", anchor)
        element.text = shown
        if shown != content:
            ET.SubElement(element, "title").text = content

    def markup(self) -> Markup:
        """Return the image; everything in it is escaped."""
        return Markup(ET.tostring(self._root, encoding="unicode"))  # noqa: S704

    def _add(
        self, name: str, style: str, numbers: dict[str, float], *, hint: str = ""
    ) -> ET.Element:
        element = ET.SubElement(self._root, name)
        if style:
            element.set("class", style)
        for key, value in numbers.items():
            element.set(key, _number(value))
        if hint:
            ET.SubElement(element, "title").text = hint
        return element


def text_width(content: str) -> float:
    """Return about how many units ``content`` takes."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in content)
    return FONT * (_NARROW * (len(content) - wide) + wide)


def shortened(content: str, room: float) -> str:
    """Return ``content`` without its middle where it does not fit into ``room`` units."""
    kept = content
    while text_width(kept) > room and len(kept) > 3:
        # The end of a module's name says more than its middle, so both ends stay.
        length = min(len(kept) - 2, max(2, int(len(kept) * room / text_width(kept)) - 1))
        half = length // 2
        kept = f"{content[: length - half]}\N{HORIZONTAL ELLIPSIS}{content[-half:]}"
    return kept


def label_room(labels: Sequence[str], most: float) -> float:
    """Return the width of a column that holds ``labels``, at most ``most`` units."""
    return min(most, max(map(text_width, labels), default=0.0) + 14)


def _number(value: float) -> str:
    """One decimal is a tenth of a pixel, and keeps pages small."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text
