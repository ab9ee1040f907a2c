"""What the processor is, and how much of it this process may use."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
from pathlib import Path
from typing import Any

from resnet_deploy.results import Environment
from resnet_deploy.results.environment import DOT_PRODUCTS

_ROOT = Path("/")
_TOPOLOGY = "sys/devices/system/cpu"

_EXTENSIONS = {
    "sse4_1": "sse4.1",
    "avx2": "avx2",
    "avx_vnni": "avx_vnni",
    "avx512f": "avx512f",
    "avx512_vnni": "avx512_vnni",
    "avx512_bf16": "avx512_bf16",
    "amx_int8": "amx_int8",
    "asimd": "asimd",
    "asimdhp": "asimdhp",
    "asimddp": "asimddp",
    "i8mm": "i8mm",
    "sve": "sve",
}
"""The kernel's (and archspec's) name of each extension that a kernel for int8 or float32 uses."""

_BFLOAT16 = frozenset({"avx512_bf16", "amx_int8"})
"""CPUs with AMX have it for both types."""

_PACKAGES = (
    "resnet-deploy",
    "onnxruntime",
    "onnxruntime-ep-openvino",
    "openvino",
    "onnx",
    "numpy",
    "torch",
)


def default_threads(root: Path = _ROOT) -> int:
    """Return the number of physical cores that this process may use, at least 1.

    That is the CPUs of its affinity mask, two hyperthreads of one core counting once (both
    share the core's vector units), and no more than the cgroup's CPU quota. A quota of 1.5
    cores gives 1: a second thread would be throttled in the middle of a run.
    """
    cores, quota = physical_cores(root), cgroup_quota(root)
    return cores if quota is None else min(cores, max(1, math.floor(quota)))


def allowed_cpus() -> frozenset[int]:
    """Return the logical CPUs in this process's affinity mask; all of them on macOS."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    import psutil

    process = psutil.Process()
    if hasattr(process, "cpu_affinity"):
        return frozenset(process.cpu_affinity())
    return frozenset(range(os.cpu_count() or 1))


def physical_cores(root: Path = _ROOT, cpus: frozenset[int] | None = None) -> int:
    """Return how many physical cores the logical ``cpus`` (default: those allowed) lie on.

    Linux tells which CPUs share a core; elsewhere the machine's core count is the upper bound.
    """
    cpus = allowed_cpus() if cpus is None else cpus
    if (root / _TOPOLOGY).is_dir():
        return max(1, len(one_cpu_per_core(root, cpus)))
    import psutil

    return max(1, min(len(cpus), psutil.cpu_count(logical=False) or len(cpus)))


def one_cpu_per_core(root: Path = _ROOT, cpus: frozenset[int] | None = None) -> tuple[int, ...]:
    """Return the first of the logical ``cpus`` (default: those allowed) on each physical core.

    Where the system does not tell which CPUs share a core, all of them are returned.
    """
    first: dict[str, int] = {}
    for cpu in sorted(allowed_cpus() if cpus is None else cpus):
        first.setdefault(_core_of(root / _TOPOLOGY, cpu), cpu)
    return tuple(first.values())


def _core_of(topology: Path, cpu: int) -> str:
    """Return the list of CPUs on the core of ``cpu``, which is the same for all of them."""
    for name in ("core_cpus_list", "thread_siblings_list"):  # the second is the older name
        if text := _read(topology / f"cpu{cpu}/topology/{name}"):
            return text.strip()
    return str(cpu)


def cgroup_quota(root: Path = _ROOT) -> float | None:
    """Return the CPU quota in cores of this process's control group, or None without one.

    Both cgroup versions are read; the smallest quota on the way up to the root holds. Inside a
    container the path in ``/proc/self/cgroup`` may not exist, then the mount itself is read.
    """
    quotas = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mounts = [root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified"]
        elif "cpu" in controllers.split(","):
            mounts = [root / "sys/fs/cgroup" / controllers, root / "sys/fs/cgroup/cpu"]
        else:
            continue
        for mount in mounts:
            quotas += [_quota_of(mount / part) for part in _upwards(path)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _upwards(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part not in ("", "..")]
    return ["/".join(parts[:count]) for count in range(len(parts), -1, -1)]


def _quota_of(group: Path) -> float | None:
    """Read ``cpu.max`` (version 2: "quota period") or the two files of version 1."""
    text = _read(group / "cpu.max") or (
        _read(group / "cpu.cfs_quota_us") + _read(group / "cpu.cfs_period_us")
    )
    try:
        quota, period = map(int, text.split())
    except ValueError:  # "max 100000", or no such files
        return None
    return quota / period if quota > 0 and period > 0 else None  # version 1 says -1 for no limit


def isa(root: Path = _ROOT) -> tuple[str, ...]:
    """Return the vector extensions that matter for int8 and float32, oldest first."""
    features = _cpuinfo(root).get("flags") or _cpuinfo(root).get("Features")
    # archspec names the nearest microarchitecture it knows, and drops what that one lacks
    # (avx_vnni and amx_int8 on a Sapphire Rapids guest).
    flags = set(features.split() if features else _archspec_host().features)
    return tuple(name for flag, name in _EXTENSIONS.items() if flag in flags)


def has_vnni(extensions: tuple[str, ...]) -> bool:
    """Return whether int8 products are added up in 32 bits by one instruction.

    True for VNNI and AMX on x86 and for the dot product on ARM.
    """
    return not DOT_PRODUCTS.isdisjoint(extensions)


def has_bfloat16(extensions: tuple[str, ...]) -> bool:
    """Return whether products of bfloat16 are computed by one instruction, on x86."""
    return not _BFLOAT16.isdisjoint(extensions)


def has_float16(extensions: tuple[str, ...]) -> bool:
    """Return whether ONNX Runtime has kernels that compute in float16: on ARM64 alone."""
    return "asimdhp" in extensions


def cpu_name(root: Path = _ROOT) -> str:
    """Return the processor's marketing name, or its microarchitecture where it has none."""
    name = " ".join(_cpuinfo(root).get("model name", "").split())
    return name or platform.processor() or str(_archspec_host().name)


def cpu_vendor(root: Path = _ROOT) -> str:
    """Return who made the processor, such as ``GenuineIntel`` or ``AuthenticAMD``."""
    return _cpuinfo(root).get("vendor_id") or str(_archspec_host().vendor)


def environment(command: str) -> Environment:
    """Return where this runs; ``command`` is what repeats the measurement.

    Packages are asked for their version without being imported.
    """
    return Environment(
        command=command,
        cpu=cpu_name(),
        isa=isa(),
        cores=default_threads(),
        os=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        versions=versions(_PACKAGES),
    )


MAKERS = ("torch", "onnx", "onnxscript", "onnxruntime", "onnxsim", "numpy")
"""The packages whose versions go into a card."""


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Return the version of each of ``packages`` that is installed."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _cpuinfo(root: Path) -> dict[str, str]:
    """Return the fields of the first processor in ``/proc/cpuinfo``; empty off Linux."""
    first = _read(root / "proc/cpuinfo").partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _archspec_host() -> Any:
    import archspec.cpu

    return archspec.cpu.host()


def _read(path: Path) -> str:
    """Return the text of a file, empty where it can't be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
