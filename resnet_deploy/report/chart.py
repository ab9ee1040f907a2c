"""What a chart shows, as values: whatever can draw draws it, everything else leaves it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

_MOST_BARS = 400
"""Layers drawn; the table beside them has them all."""


@dataclass(frozen=True)
class Bar:
    """A ``value``, written as ``text``; NaN has no bar, infinity fills the row.

    ``reference`` is drawn as a mark to compare with. ``style`` is a class of the stylesheet.
    """

    label: str
    value: float
    text: str
    style: str = "plain"
    reference: float | None = None


@dataclass(frozen=True)
class Estimate:
    """A ``value`` within the ``interval``, which may be infinite; ``dots`` are its samples.

    ``style`` is a class of the stylesheet: ``good``, ``bad`` or ``plain``.
    """

    label: str
    value: float
    interval: tuple[float, float]
    text: str
    style: str = "plain"
    dots: tuple[float, ...] = ()


@dataclass(frozen=True)
class Series:
    """The values of one subject, and what is said of them at the end of its row."""

    label: str
    values: tuple[float, ...]
    text: str


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point with a ``size`` of 0 to 1; only points that are ``named`` get their label drawn.

    ``text`` says what and where it is to those who can't see it.
    """

    label: str
    text: str
    x: float
    y: float
    size: float = 0.5
    style: str = "plain"
    named: bool = False
    front: bool = False


@dataclass(frozen=True)
class Chart:
    """What all charts have: what is drawn, along which axis, and a sentence on how to read it."""

    kind: ClassVar[str] = "figure"

    title: str
    axis: str
    _: KW_ONLY
    caption: str = ""
    heading: str = ""


@dataclass(frozen=True)
class Bars(Chart):
    """One bar a row; charts with the same ``alike`` rows have the same axis.

    ``bound`` is a value that the bars should reach; with ``percent`` values are shares.
    """

    rows: Sequence[Bar]
    _: KW_ONLY
    alike: Sequence[Bar] = ()
    bound: float | None = None
    percent: bool = False

    @classmethod
    def by_module(
        cls,
        title: str,
        axis: str,
        rows: Sequence[Bar],
        *,
        caption: str,
        bound: float | None = None,
    ) -> tuple[Bars, ...]:
        """Return a chart per outermost module of the first 400 labels, all with the same axis."""
        shown = rows[:_MOST_BARS]
        groups: dict[str, list[Bar]] = {}
        for row in shown:
            outer, dot, _ = row.label.partition(".")
            groups.setdefault(outer if dot else "", []).append(row)
        outside = "Outside the stages" if len(groups) > 1 else "All layers"
        return tuple(
            cls(
                f"{title}, {group or outside}",
                axis,
                members,
                heading=group or outside,
                # It is the same for all.
                caption=caption if number == 0 else "",
                alike=shown,
                bound=bound,
            )
            for number, (group, members) in enumerate(groups.items())
        )


@dataclass(frozen=True)
class Forest(Chart):
    """Estimates with their intervals, one a row, beside a ``reference``."""

    rows: Sequence[Estimate]
    _: KW_ONLY
    reference: float | None = None
    log: bool = False
    percent: bool = False


@dataclass(frozen=True)
class Distributions(Chart):
    """How values are spread, one subject a row."""

    rows: Sequence[Series]


@dataclass(frozen=True)
class Matrix(Chart):
    """``counts[truth][predicted]`` of the classes ``names``."""

    names: Sequence[str]
    counts: Sequence[Sequence[int]]


@dataclass(frozen=True)
class Scatter(Chart):
    """Points of a plane whose vertical axis is ``y_axis``."""

    y_axis: str
    points: Sequence[Point]
