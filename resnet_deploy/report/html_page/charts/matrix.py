"""How often each class is taken for each: a confusion matrix."""

from __future__ import annotations

from markupsafe import Markup

from resnet_deploy.report.chart import Matrix
from resnet_deploy.report.html_page.charts.drawing import WIDTH, Drawing, label_room

_SHADES = 8
_DARK_SHADES = 7
"""From this one on, the stylesheet's text is that of a dark ground."""

_MOST_CELL = 84.0
_ROW = 30.0


def matrix(chart: Matrix) -> Markup:
    """Return a grid of counts; a row's shades are shares of its sum.

    Columns are numbered as the rows are: names of classes do not fit above them.
    """
    names, counts = chart.names, chart.counts
    labels = [f"{number}  {name}" for number, name in enumerate(names, 1)]
    left = label_room(labels, 240)
    cell = min(_MOST_CELL, (WIDTH - left) / max(len(names), 1))
    bottom = 30 + _ROW * len(names)
    description = "Rows are the true classes, columns the predicted ones, in one order."
    drawing = Drawing(bottom + 30, title=chart.title, description=description)
    for number in range(1, len(names) + 1):
        drawing.text(left + cell * (number - 0.5), 20, str(number), "tick", anchor="middle")
    for row, (label, line) in enumerate(zip(labels, counts, strict=True)):
        y, total = 30 + _ROW * row, sum(line)
        drawing.text(0, y + 19, label, "label", room=left - 10)
        for column, count in enumerate(line):
            share = count / total if total else 0.0
            shade = 0 if count == 0 else 1 + min(_SHADES - 1, int(share * _SHADES))
            kind = "right" if row == column else "wrong"
            x = left + cell * column
            hint = f"{names[row]} taken for {names[column]}: {count:,} of {total:,}"
            drawing.rect(x + 1, y + 1, cell - 2, _ROW - 2, f"cell {kind} s{shade}", hint=hint)
            if count:
                tone = "dense" if shade >= _DARK_SHADES else "sparse"
                drawing.text(
                    x + cell / 2, y + 19, f"{count:,}", f"count {tone}", anchor="middle", room=cell
                )
    middle = left + cell * len(names) / 2
    drawing.text(middle, bottom + 20, chart.axis, "axis", anchor="middle")
    return drawing.markup()
