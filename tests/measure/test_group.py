from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from resnet_deploy.errors import RunnerError
from resnet_deploy.measure.group import ProcessGroup, at_once
from resnet_deploy.measure.mock import FakeClock, MockProcess, MockRunner
from tests.support.subjects import subject


def member(ms: int) -> MockProcess:
    clock = FakeClock()
    runner = MockRunner(clock, iter([ms * 1_000_000]))
    return MockProcess(subject(Path("m.onnx")), runner, clock, [])


def test_a_group_does_with_all_what_one_does(tmp_path: Path):
    samples = tmp_path / "samples.npy"
    np.save(samples, np.zeros((4, 3, 8, 8), np.float32))
    members = [member(10), member(20)]
    with ProcessGroup(members) as group:
        assert group.load(subject(Path("m.onnx")), samples) == 1000
        assert group.first_run() == 20_000_000
        assert group.warm_up(0.0) == 3
        assert group.run(2) == [10_000_000] * 2 + [20_000_000] * 2
        assert [len(one) for one in group.saturate(0.1)] == [10, 5]
        assert group.logits().shape == (4, 4)
        assert group.peak_rss_bytes() == 2_000_000
    assert all(one.closed for one in members)


def test_calls_are_made_at_once_and_errors_come_back():
    barrier = threading.Barrier(3, timeout=5)
    assert sorted(at_once(lambda _: barrier.wait(), range(3))) == [0, 1, 2]

    def fail(number: int) -> int:
        if number == 1:
            raise RunnerError("no")
        return number

    with pytest.raises(RunnerError, match="no"):
        at_once(fail, range(3))
    assert at_once(fail, []) == []
