"""Places on an axis, and labels that fit."""

from __future__ import annotations

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.report.html_page.charts.drawing import shortened, text_width
from resnet_deploy.report.html_page.charts.scale import fitted, from_zero

VALUES = st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=20)


@given(VALUES, st.booleans())
def test_a_scale_keeps_the_order_and_the_room(values, log):
    scale = fitted(values, 100.0, 900.0, log=log)
    places = [scale(value) for value in sorted(values)]
    assert places == sorted(places)
    assert all(100 <= place <= 900 for place in places)
    assert scale(-math.inf) == 100
    assert scale(math.inf) == 900


@given(VALUES, st.booleans())
def test_ticks_are_few_distinct_and_on_the_axis(values, log):
    scale = fitted(values, 0.0, 800.0, log=log)
    ticks = scale.ticks()
    assert 1 <= len(ticks) <= 10
    assert all(left < right for left, right in itertools.pairwise(ticks))
    slack = 1e-6 * (scale.high - scale.low)
    assert all(scale.low - slack <= tick <= scale.high + slack for tick in ticks)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=10))
def test_bars_start_at_zero_whatever_there_is(values):
    scale = from_zero(values, 0.0, 800.0)
    assert scale.low <= 0 <= scale.high
    assert scale.ticks()


@given(st.text(min_size=1, max_size=60), st.floats(40, 400))
def test_a_shortened_name_fits_and_keeps_its_ends(name, room):
    short = shortened(name, room)
    assert text_width(short) <= room or len(short) <= 3
    if short != name:
        assert short[0] == name[0]
        assert short[-1] == name[-1]
        assert len(short) < len(name) or "\N{HORIZONTAL ELLIPSIS}" in short
