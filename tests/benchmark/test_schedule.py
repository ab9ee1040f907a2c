from __future__ import annotations

import pytest

from resnet_deploy.benchmark.schedule import may_stop, plan
from resnet_deploy.errors import SpecError
from resnet_deploy.results import Ratio
from resnet_deploy.spec import BenchSpec

MS = 1_000_000


def test_fast_subjects_get_all_runs_in_many_processes():
    schedule = plan(BenchSpec(), start_ns=500 * MS, round_ns=5 * MS)
    assert schedule.runs == 10
    assert schedule.sizes == (3,) * 20


def test_slow_starts_leave_fewer_runs_and_still_four_processes():
    # 4 x 3.5 s of starting leave 6 s for 12 rounds of (1 + n) x 66 ms.
    schedule = plan(BenchSpec(), start_ns=3500 * MS, round_ns=66 * MS)
    assert schedule.runs == 6
    assert len(schedule.sizes) >= 4


@pytest.mark.parametrize(
    ("spec", "start_ns", "round_ns"),
    [
        (BenchSpec(rounds=11), 1, 1),  # too few rounds for 4 processes
        (BenchSpec(time_limit=2), 600 * MS, 10 * MS),  # too little time
        (BenchSpec(), 100 * MS, 4000 * MS),  # too slow a model
    ],
)
def test_what_does_not_fit_is_measured_in_one_process(spec, start_ns, round_ns):
    assert plan(spec, start_ns, round_ns).sizes == (spec.rounds,)


def test_rounds_that_do_not_divide_are_shared_out():
    assert plan(BenchSpec(rounds=14), 1, 1).sizes == (4, 4, 3, 3)


def test_only_the_width_of_all_intervals_ends_it():
    def ratio(center: float, spread: float) -> Ratio:
        rounds = tuple(center * (1 + spread * sign) for sign in (-1, 1, -1, 1, 0, 0))
        return Ratio(subject="a", reference="b", rounds=rounds, minima=1, processes=(1,) * 6)

    narrow, wide = ratio(1.0, 0.002), ratio(9.0, 0.1)
    assert may_stop([narrow], 6, 0.02)
    assert may_stop([ratio(1.5, 0.002)], 6, 0.02)
    assert not may_stop([narrow, wide], 6, 0.02)  # it differs, but it is not known well
    assert not may_stop([narrow], 5, 0.02)
    assert not may_stop([], 6, 0.02)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rounds_per_process": 0},
        {"instances": 0},
        {"instances": 2},
        {"cold_starts": 0},
        {"precision": 0},
        {"slice_seconds": 0},
    ],
)
def test_impossible_specs_are_refused(wrong):
    with pytest.raises(SpecError):
        BenchSpec(**wrong)
