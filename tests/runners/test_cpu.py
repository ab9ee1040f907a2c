from __future__ import annotations

from pathlib import Path

import pytest

from resnet_deploy.runners import cpu


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def siblings(*cores: str) -> dict[str, str]:
    """Topology files of CPUs 0, 1, …, each with its core's list of CPUs."""
    return {
        f"sys/devices/system/cpu/cpu{i}/topology/thread_siblings_list": f"{core}\n"
        for i, core in enumerate(cores)
    }


def test_hyperthreads_of_one_core_count_once(tmp_path: Path):
    root = write(tmp_path, siblings("0,2", "1,3", "0,2", "1,3"))
    assert cpu.physical_cores(root, frozenset({0, 1, 2, 3})) == 2
    assert cpu.physical_cores(root, frozenset({0, 2})) == 1
    assert cpu.physical_cores(root, frozenset({1, 2})) == 2


def test_cpus_without_topology_count_each(tmp_path: Path):
    (tmp_path / "sys/devices/system/cpu").mkdir(parents=True)
    assert cpu.physical_cores(tmp_path, frozenset({0, 5})) == 2


def test_without_sys_the_machines_cores_are_the_bound(tmp_path: Path):
    assert cpu.physical_cores(tmp_path, frozenset({0})) == 1


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        (  # the parent's limit is lower
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/cpu.max": "400000 100000\n",
                "sys/fs/cgroup/a/cpu.max": "200000 100000\n",
            },
            2.0,
        ),
        (  # a container whose path is the host's
            {"proc/self/cgroup": "0::/host/x\n", "sys/fs/cgroup/cpu.max": "50000 100000"},
            0.5,
        ),
        (
            {
                "proc/self/cgroup": "5:cpu,cpuacct:/job\n2:memory:/job\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
            },
            3.0,
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
    ],
)
def test_cgroup_quota(files, quota, tmp_path: Path):
    assert cpu.cgroup_quota(write(tmp_path, files)) == quota


@pytest.mark.parametrize(("quota", "threads"), [("50000", 1), ("250000", 2), ("max", 4)])
def test_threads_are_the_quota_rounded_down_but_at_least_one(quota, threads, tmp_path, monkeypatch):
    monkeypatch.setattr(cpu, "allowed_cpus", lambda: frozenset(range(8)))
    root = write(
        tmp_path,
        {
            **siblings("0-1", "0-1", "2-3", "2-3", "4-5", "4-5", "6-7", "6-7"),
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/cpu.max": f"{quota} 100000\n",
        },
    )
    assert cpu.default_threads(root) == threads


def test_isa_and_name_of_an_x86_cpu(tmp_path: Path):
    info = "processor\t: 0\nmodel name\t: Fast  CPU\nflags\t\t: fpu avx2 avx512_vnni sse4_1\n\n"
    root = write(tmp_path, {"proc/cpuinfo": info + info})
    assert cpu.isa(root) == ("sse4.1", "avx2", "avx512_vnni")
    assert cpu.cpu_name(root) == "Fast CPU"
    assert cpu.has_vnni(cpu.isa(root))


def test_isa_of_an_arm_cpu(tmp_path: Path):
    root = write(tmp_path, {"proc/cpuinfo": "processor : 0\nFeatures : fp asimd asimddp\n"})
    assert cpu.isa(root) == ("asimd", "asimddp")
    assert cpu.has_vnni(cpu.isa(root))


def test_avx2_alone_has_no_dot_product():
    assert not cpu.has_vnni(("sse4.1", "avx2", "avx512f"))


def test_without_cpuinfo_archspec_is_asked(tmp_path: Path):
    assert cpu.cpu_name(tmp_path)
    assert isinstance(cpu.isa(tmp_path), tuple)


def test_the_environment_records_command_and_versions():
    found = cpu.environment("resnet-deploy bench m.onnx")
    assert found.command == "resnet-deploy bench m.onnx"
    assert found.cores >= 1
    assert {"onnx", "onnxruntime", "numpy"} <= found.versions.keys()
    assert cpu.versions(("no-such-package",)) == {}
