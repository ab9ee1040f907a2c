from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from resnet_deploy.errors import SpecError
from resnet_deploy.measure.affinity import reserve
from resnet_deploy.measure.process import SubjectProcess
from resnet_deploy.runners.cpu import allowed_cpus, one_cpu_per_core
from tests.support.bench_subjects import subject
from tests.support.runner_graphs import cnn, random


def machine(root: Path, cores: list[list[int]]) -> Path:
    for siblings in cores:
        for cpu in siblings:
            folder = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
            folder.mkdir(parents=True)
            (folder / "core_cpus_list").write_text(",".join(map(str, siblings)) + "\n")
    return root


def test_one_of_two_hyperthreads_is_taken(tmp_path: Path):
    root = machine(tmp_path, [[0, 2], [1, 3]])
    assert one_cpu_per_core(root, frozenset({0, 1, 2, 3})) == (0, 1)
    assert one_cpu_per_core(root, frozenset({2, 3, 0})) == (0, 3)
    assert one_cpu_per_core(root, frozenset({2})) == (2,)


def test_too_few_cores_is_one_line():
    cores = len(one_cpu_per_core())
    assert reserve(1) == one_cpu_per_core()[:1]
    with pytest.raises(SpecError, match=f"need {3 * cores} physical cores.*may use {cores}"):
        reserve(cores, 3)


def test_a_system_without_affinity_says_so(monkeypatch):
    monkeypatch.delattr(psutil.Process, "cpu_affinity")
    with pytest.raises(SpecError, match="leave out --pin"):
        reserve(1)


@pytest.mark.skipif(sys.platform != "linux", reason="threads' affinities are read from psutil")
def test_all_threads_of_a_pinned_process_are_on_its_cpus(tmp_path: Path):
    from dataclasses import replace

    samples = tmp_path / "samples.npy"
    np.save(samples, random(4, 3, 8, 8))
    cpu = max(allowed_cpus())
    timed = replace(subject(cnn(tmp_path / "m.onnx")), cpus=(cpu,), threads=2)
    with SubjectProcess(timed, tmp_path) as process:
        process.load(timed, samples)
        process.run(1)
        threads = psutil.Process(process.pid).threads()
        assert len(threads) > 1
        assert {tuple(psutil.Process(t.id).cpu_affinity()) for t in threads} == {(cpu,)}
