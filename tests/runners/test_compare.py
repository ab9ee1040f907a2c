from __future__ import annotations

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from resnet_deploy.errors import RunnerError
from resnet_deploy.runners.compare import difference, difference_and_top1, top1_equal
from resnet_deploy.spec import Tolerance


def test_difference_by_hand():
    diff = difference("logits", np.array([[3.0, -4.0]]), np.array([[3.0, -2.0]]))
    assert (diff.samples, diff.max_abs, diff.max_reference) == (1, 2.0, 4.0)
    assert (diff.signal_power, diff.noise_power) == (25.0, 4.0)
    assert (diff.dot, diff.candidate_power) == (17.0, 13.0)


def test_outputs_of_different_networks():
    with pytest.raises(RunnerError, match="shape"):
        difference("logits", np.zeros((2, 10)), np.zeros((2, 1000)))
    with pytest.raises(RunnerError, match="shape"):
        difference("logits", np.zeros((0, 10)), np.zeros((0, 10)))


def test_top1_equal():
    expected = np.array([[1, 2, 3], [3, 2, 1]]).reshape(2, 3, 1, 1)
    assert top1_equal(expected, np.array([[0, 0, 1], [0, 0, 1]])) == (True, False)


def test_nan_agrees_with_nothing_and_is_the_worst_in_every_figure():
    broken = np.array([[np.nan, 1.0], [0.0, 1.0]])
    found, same = difference_and_top1("logits", broken, broken)
    assert same == (False, True)
    assert (found.relative, found.sqnr_db, found.cosine) == (math.inf, -math.inf, -math.inf)
    assert found.failures(Tolerance(min_sqnr_db=-500.0, min_cosine=-1.0, max_relative=1e30)) == (
        "NaN or infinity",
        "relative difference inf > 1e+30",
        "SQNR -inf dB < -500.0 dB",
        "cosine -inf < -1.00000",
    )


def test_values_without_classes_have_no_top1():
    values = np.ones((2, 3), np.float32)
    assert difference_and_top1("features", values, values, classes=False)[1] == ()


@given(
    arrays(
        np.float32, st.tuples(st.integers(2, 6), st.just(3)), elements=st.floats(-9, 9, width=32)
    ),
    st.data(),
)
def test_parts_of_a_batch_merge_into_the_whole(expected, data):
    cut = data.draw(st.integers(1, len(expected) - 1))
    got = expected + np.float32(0.25)
    whole = difference("logits", expected, got)
    first, last = (
        difference("logits", expected[part], got[part]) for part in (slice(cut), slice(cut, None))
    )
    for merged in (first.merge(last), last.merge(first)):
        assert asdict(merged) == pytest.approx(asdict(whole))


def test_nan_is_not_lost_in_a_merge():
    good = difference("logits", np.ones((1, 2)), np.ones((1, 2)))
    bad = replace(good, max_abs=math.nan)
    assert all(math.isnan(merged.max_abs) for merged in (good.merge(bad), bad.merge(good)))
