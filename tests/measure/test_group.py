from __future__ import annotations

from pathlib import Path

import numpy as np

from resnet_deploy.measure.group import ProcessGroup
from tests.support.bench_subjects import subject
from tests.support.mock_process import FakeClock, MockProcess, MockRunner


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
        assert [len(times) for times in group.saturate(0.1)] == [10, 5]
        assert group.logits().shape == (4, 4)
        assert group.peak_rss_bytes() == 2_000_000
    assert all(member.closed for member in members)
