"""Tools that run the kernels of other CPUs here: emulators, and an ARM64 Python with ONNX Runtime.

All of it lives in ``isa`` under the cache folder, is fetched without root by
``resnet-deploy doctor --fetch-isa-tools``, and can be deleted at any time.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from resnet_deploy.artifact.cache import cache_folder, make_cache_for
from resnet_deploy.artifact.unfinished import scratch_folder
from resnet_deploy.errors import MissingDependencyError, SpecError
from resnet_deploy.isa.debian import PrivateApt, unpack
from resnet_deploy.isa.instruction_sets import ISAS, Isa, is_native, machine
from resnet_deploy.processes import one_shot
from resnet_deploy.progress import Progress, silent

FETCH_COMMAND = "resnet-deploy doctor --fetch-isa-tools"
NOT_FETCHED = "not fetched"

_EMULATORS = ("qemu-x86_64", "qemu-aarch64")
_GUEST_PACKAGES = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
_WHEEL_PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
_PYTHON = re.compile(r"python3\.\d+$")

_CPUINFO = """\
processor\t: 0
BogoMIPS\t: 50.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc \
dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0c
CPU revision\t: 1

"""
"""A Neoverse N1. ONNX Runtime's CPU detection crashes on the host's file, which is of an x86."""


@dataclass(frozen=True, kw_only=True)
class Tools:
    """How to start a Python on an emulated CPU.

    ``command`` takes a script and its arguments; the guest imports from ``site``.
    """

    command: tuple[str, ...]
    site: tuple[Path, ...]


def isa_folder() -> Path:
    """Return where the tools and the logits that they made are kept."""
    return cache_folder() / "isa"


def status(isa: Isa) -> str:
    """Return how the kernels of ``isa`` can be run here: ``NOT_FETCHED``, or in a few words."""
    if is_native(isa):
        return "this CPU"
    try:
        find_tools(isa)
    except SpecError:
        return "not on this machine"
    except MissingDependencyError:
        return NOT_FETCHED
    return "emulated"


def find_tools(isa: Isa) -> Tools:
    """Return what emulates ``isa``.

    Raises:
        SpecError: nothing can emulate it on this machine.
        MissingDependencyError: the tools were not fetched yet.
    """
    _check_possible(isa)
    emulator = isa_folder() / "emulators" / f"qemu-{isa.machine}"
    root, own = _guest_root(), isa.machine == machine()
    site = host_site() if own else (_guest_site(),)
    folders = site if own else (*site, root)
    if not emulator.is_file() or not all(folder.is_dir() for folder in folders):
        raise MissingDependencyError(
            f"running the kernels of {isa.name} needs an emulator that is not installed (for ONNX "
            f"Runtime {onnxruntime_version()}): {FETCH_COMMAND}"
        )
    python = (sys.executable,) if own else ("-L", str(root), str(_guest_python(root)))
    command = (str(emulator), "-cpu", str(isa.emulated_cpu), *python)
    # Isolated, without site: what it imports is on the list, nothing else.
    return Tools(command=(*command, "-I", "-S", "-B"), site=site)


def fetch_tools(progress: Progress = silent) -> None:
    """Fetch what is missing for the ISAs that can be emulated here.

    Raises:
        SpecError: this machine can emulate none.
        MissingDependencyError: no Debian, no network, or no wheel of the installed ONNX Runtime.
    """
    for isa in ISAS.values():
        if isa.emulated_cpu and not is_native(isa):
            _check_possible(isa)
    make_cache_for(isa_folder())
    isa_folder().mkdir(parents=True, exist_ok=True)
    with scratch_folder(isa_folder()) as scratch:
        emulators = isa_folder() / "emulators"
        if not emulators.is_dir() or not _guest_root().is_dir():
            (scratch / "apt").mkdir()
            apt = PrivateApt(scratch / "apt", ("arm64", "amd64"))
            progress("fetching", 1, 4)
            if not emulators.is_dir():
                _fetch_emulators(apt, scratch, emulators)
            progress("fetching", 2, 4)
            if not _guest_root().is_dir():
                _fetch_guest(apt, scratch)
        progress("fetching", 3, 4)
        if not _guest_site().is_dir():
            _fetch_wheels(scratch)
        progress("fetching", 4, 4)


def host_site() -> tuple[Path, ...]:
    """Return the folders that this Python imports NumPy and ONNX Runtime from."""
    packages = (importlib.metadata.distribution(name) for name in ("numpy", "onnxruntime"))
    return tuple(dict.fromkeys(Path(str(package.locate_file(""))) for package in packages))


def onnxruntime_version() -> str:
    """Return the version of the installed ONNX Runtime, without importing it."""
    return importlib.metadata.version("onnxruntime")


def _check_possible(isa: Isa) -> None:
    if isa.emulated_cpu is None:
        raise SpecError(
            f"{isa.name} can't run here: this CPU lacks it and QEMU does not emulate it; run "
            "this on a CPU that has it, or drop it from --isa"
        )
    if sys.platform != "linux" or machine() != "x86_64":
        raise SpecError(
            f"{isa.name} can't run here: CPUs are emulated on x86-64 Linux only; run this there, "
            "or drop it from --isa"
        )


def _guest_root() -> Path:
    return isa_folder() / "arm64"


def _guest_site() -> Path:
    return isa_folder() / f"arm64-onnxruntime-{onnxruntime_version()}"


def _guest_python(root: Path) -> Path:
    programs = (root / "usr/bin").iterdir()
    found = sorted(program for program in programs if _PYTHON.fullmatch(program.name))
    if not found:
        raise MissingDependencyError(f"{root} has no Python: delete it, then {FETCH_COMMAND}")
    return found[-1]


def _fetch_emulators(apt: PrivateApt, scratch: Path, target: Path) -> None:
    packages = apt.download("qemu-user-static:amd64")
    unpack([package for package in packages if "qemu" in package.name], scratch / "qemu")
    chosen = scratch / "emulators"
    chosen.mkdir()
    for name in _EMULATORS:
        # An older Debian says "static" in the name of a static binary, a newer one has no other.
        programs = [scratch / "qemu/usr/bin" / spelled for spelled in (f"{name}-static", name)]
        source = next((p for p in programs if p.is_file() and not p.is_symlink()), None)
        if source is None:
            raise MissingDependencyError(f"Debian's qemu-user-static has no {name}: use Debian 12+")
        source.rename(chosen / name)
    _move(chosen, target)


def _fetch_guest(apt: PrivateApt, scratch: Path) -> None:
    root = scratch / "arm64"
    unpack(apt.download(*_GUEST_PACKAGES), root)
    cpus = root / "sys/devices/system/cpu"
    cpus.mkdir(parents=True)
    for name in ("possible", "present", "online", "kernel_max"):
        (cpus / name).write_text("0\n", encoding="ascii")
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc/cpuinfo").write_text(_CPUINFO, encoding="ascii")
    _move(root, _guest_root())


def _fetch_wheels(scratch: Path) -> None:
    python = _guest_python(_guest_root()).name.removeprefix("python")
    wanted = (f"onnxruntime=={onnxruntime_version()}", "numpy")
    wheels, site = scratch / "wheels", scratch / "site"
    ended = one_shot.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--only-binary=:all:", "--implementation", "cp"),
            *("--python-version", python, "--dest", str(wheels)),
            *(f"--platform={platform}_aarch64" for platform in _WHEEL_PLATFORMS),
            *wanted,
        ]
    )
    if ended.failure:
        raise MissingDependencyError(
            f"pip can't download {' and '.join(wanted)} for Python {python} on ARM64 "
            f"({ended.failure}): check the network, or install another ONNX Runtime"
        )
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    _move(site, _guest_site())


def _move(source: Path, target: Path) -> None:
    """Move a folder into place, unless another process has put one there meanwhile."""
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        shutil.rmtree(source)
