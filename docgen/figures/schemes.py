"""Boxes and arrows: the way of a checkpoint, and what folding does to a residual block."""

from __future__ import annotations

from docgen.figures.sheet import arrow, box, finished
from resnet_deploy.report.html_page.charts.drawing import Drawing

_VERBS = (
    (("load", "checkpoint, hub", "folder, factory"), "box"),
    (("export", "fold BatchNorm,", "simplify"), "box"),
    (("quantize", "ranges, rounding,", "Q and DQ"), "box"),
    (("verify", "against PyTorch,", "graph inspected"), "check"),
    (("bundle", "C++, phone, Node.js,", "web, Triton"), "kept"),
)
_FLOW = ("Network", "fp32 Artifact", "int8 Artifact", "the same, proven")
_ASIDE = ((2, "calibration images"), (3, "test images"))


def pipeline() -> str:
    """Return the picture of the verbs and of what flows between them."""
    title = "From a checkpoint to an app: load, export, quantize, verify, bundle"
    drawing = Drawing(
        196, title=title, description="; ".join(" ".join(lines) for lines, _ in _VERBS)
    )
    width, gap, top = 136.0, 66.0, 62.0
    for number, (lines, style) in enumerate(_VERBS):
        left = 8 + number * (width + gap)
        bottom = box(drawing, left, top, width, lines, style)
        if number:
            arrow(drawing, (left - gap + 2, top + 34), (left - 2, top + 34))
            drawing.text(left - gap / 2, top - 10, _FLOW[number - 1], "note", anchor="middle")
    for number, text in _ASIDE:
        x = 8 + number * (width + gap) + width / 2
        arrow(drawing, (x, 24), (x, top - 1))
        drawing.text(x, 17, text, "note", anchor="middle")
    drawing.text(8, bottom + 36, "A check that fails ends it: nothing is written.", "note")
    drawing.text(8, bottom + 56, "bench, evaluate and predict take any file on the way.", "note")
    return finished(drawing)


_BEFORE = (
    (("Conv 3x3",), "box"),
    (("BatchNorm",), "gone"),
    (("ReLU",), "box"),
    (("Conv 3x3",), "box"),
    (("BatchNorm",), "gone"),
)
_AFTER = ((("Conv 3x3 + bias",), "kept"), (("ReLU",), "box"), (("Conv 3x3 + bias",), "kept"))
_WIDTH = 150.0


def block() -> str:
    """Return the picture of a residual block before and after folding."""
    title = "A residual block before and after BatchNorm is folded into the convolutions"
    drawing = Drawing(
        470, title=title, description="Before: five operators on the branch; after: three"
    )
    for left, heading, steps in (
        (150.0, "As it was trained", _BEFORE),
        (590.0, "As it is exported", _AFTER),
    ):
        middle = left + _WIDTH / 2
        drawing.text(middle, 22, heading, "heading", anchor="middle")
        drawing.text(middle - 16, 48, "x", "name")
        y, step = 36.0, 300.0 / len(steps)
        for lines, style in steps:
            arrow(drawing, (middle, y), (middle, y + step - 34))
            y = box(drawing, left, y + step - 34, _WIDTH, lines, style)
        arrow(drawing, (middle, y), (middle, y + 24))
        bottom = box(drawing, left, y + 24, _WIDTH, ("Add",), "box")
        # The identity goes around the branch.
        right = left + _WIDTH + 50
        drawing.path([(middle, 42), (right, 42), (right, y + 40)], "arrow")
        arrow(drawing, (right, y + 40), (left + _WIDTH + 2, y + 40))
        drawing.text(right + 8, 200, "shortcut", "note")
        arrow(drawing, (middle, bottom), (middle, bottom + 18))
        box(drawing, left, bottom + 18, _WIDTH, ("ReLU",), "box")
    drawing.text(420, 180, "g = gamma / sqrt(var + eps)", "note")
    drawing.text(420, 202, "weights: w g", "note")
    drawing.text(420, 224, "bias: beta - mean g", "note")
    return finished(drawing)
