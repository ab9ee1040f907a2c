from __future__ import annotations

import numpy as np
import pytest

from resnet_deploy.errors import RunnerError
from resnet_deploy.runners.compare import difference, top1_equal


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
