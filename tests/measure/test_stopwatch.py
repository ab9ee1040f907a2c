from __future__ import annotations

import itertools

import numpy as np
import pytest

from resnet_deploy.measure.stopwatch import Stopwatch, peak_rss_bytes
from tests.support.mock_process import FakeClock, MockRunner


def watch(latencies, samples: int = 4, batch_size: int = 2) -> tuple[Stopwatch, MockRunner]:
    clock = FakeClock()
    runner = MockRunner(clock, iter(latencies))
    images = np.zeros((samples, 3, 8, 8), np.float32)
    return Stopwatch(runner, images, batch_size, clock), runner


def test_the_first_run_of_a_round_is_not_timed():
    stopwatch, runner = watch([900, 5, 6, 7])
    assert stopwatch.run(3) == [5, 6, 7]
    assert runner.runs == 4


def test_warm_up_ends_when_two_windows_of_five_agree():
    slow = [50_000_000, 40_000_000, 30_000_000, 25_000_000, 22_000_000]
    stopwatch, _ = watch(itertools.chain(slow, itertools.repeat(10_000_000)))
    # Median of runs 3-7 and of 8-12 is 10 ms each; one run earlier it was not.
    assert stopwatch.warm_up(10.0) == 13
    steady, _ = watch([10_000_000])
    assert steady.warm_up(10.0) == 10


@pytest.mark.parametrize(("seconds", "runs"), [(0.0, 3), (0.05, 5)])
def test_warm_up_that_never_settles_ends_in_time(seconds, runs):
    stopwatch, _ = watch(ns * 10_000_000 for ns in itertools.cycle([1]) if ns)
    assert stopwatch.warm_up(seconds) == runs


def test_logits_of_all_samples_come_in_batches():
    stopwatch, runner = watch([1], samples=6, batch_size=2)
    assert stopwatch.logits().shape == (6, 4)
    assert runner.runs == 3


def test_peak_memory_is_that_of_a_python_process():
    assert 5e6 < peak_rss_bytes() < 1e12
