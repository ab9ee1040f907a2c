"""What all pictures share: a white sheet with the fonts and colours of the pages."""

from __future__ import annotations

from markupsafe import Markup

from resnet_deploy.report.html_page.charts.drawing import Drawing

_STYLE = """
svg { background: #fff } text { font: 13px sans-serif; fill: #222 }
.heading { font-weight: bold } .tick, .axis, .note { fill: #555 } .name { font-weight: bold }
.grid { stroke: #e3e3e3 } .arrow { stroke: #555; stroke-width: 1.5; fill: none }
.head { fill: #555 } .box { fill: #e8eaf6; stroke: #3949ab }
.gone { fill: #f5f5f5; stroke: #9e9e9e }
.kept { fill: #e3f2fd; stroke: #1565c0 } .check { fill: #e8f5e9; stroke: #2e7d32 }
.bar { fill: #90a4ae } .minmax { stroke: #d62728 } .percentile { stroke: #9467bd }
.entropy { stroke: #2ca02c } .mse { stroke: #1f77b4; stroke-width: 3 }
.front { fill: none; stroke: #1f77b4; stroke-width: 1.75; stroke-opacity: 0.7 }
.point { fill: #1f77b4; fill-opacity: 0.75; stroke: #fff }
.point.muted { fill: #9e9e9e } .name.muted { fill: #666; font-weight: normal }
"""


def finished(drawing: Drawing | Markup) -> str:
    """Return the file: the drawing, and a stylesheet of its own."""
    text = str(drawing.markup() if isinstance(drawing, Drawing) else drawing)
    text = text.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return text.replace("<title>", f"<style>{_STYLE}</style><title>", 1) + "\n"


def arrow(drawing: Drawing, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw a straight arrow: to the right, to the left, or down."""
    drawing.line(start, end, "arrow")
    x, y = end
    if start[1] == y:
        back = x - 9 if x > start[0] else x + 9
        drawing.path([(x, y), (back, y - 5), (back, y + 5)], "head", closed=True)
    else:
        drawing.path([(x, y), (x - 5, y - 9), (x + 5, y - 9)], "head", closed=True)


def box(
    drawing: Drawing, left: float, top: float, width: float, lines: tuple[str, ...], style: str
) -> float:
    """Draw a box with centred ``lines``, the first one bold; return where it ends below."""
    height = 18.0 * len(lines) + 14
    drawing.rect(left, top, width, height, style)
    for row, line in enumerate(lines):
        kind = "name" if row == 0 else "note"
        drawing.text(left + width / 2, top + 20 + 18 * row, line, kind, anchor="middle")
    return top + height
