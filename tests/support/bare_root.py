"""A root folder with libc, libstdc++ and one more folder: the barest host that there is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.support.native_toolchain import tool, unavailable

_LIBRARIES = ("libc", "libm", "libdl", "librt", "libpthread", "libgcc_s", "libstdc++")


def bare_root(folder: Path, app: Path) -> Path:
    """Make ``folder`` a root with ``app`` in it as ``/app``, and return it.

    Files of ``app`` become hard links.
    """
    listed = subprocess.run(
        [tool("ldd", "libc-bin"), str(app / "bin/selftest")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for path in map(Path, re.findall(r"(/\S+) \(0x", listed)):
        if path.name.partition(".so")[0] in _LIBRARIES or path.name.startswith("ld-linux"):
            _copy(path, folder)
    # What libraries that are opened later ask for.
    libc = Path(re.findall(r"(/\S+/libc\.so\.6) ", listed)[0])
    for name in ("libdl.so.2", "librt.so.1", "libpthread.so.0"):
        if (libc.parent / name).is_file():
            _copy(libc.parent / name, folder)
    shutil.copytree(app, folder / "app", copy_function=os.link)
    return folder


def run_in(
    root: Path, program: str, *arguments: str, proc: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run ``program`` with ``root`` as its root and no variables, as root alone may.

    ``proc``: with the two things in /proc that matter, where the program is and what the CPUs are;
    a real one can't be mounted everywhere.
    """
    if os.geteuid() != 0:
        unavailable("only root can change the root folder")
    shutil.rmtree(root / "proc", ignore_errors=True)
    if proc:
        (root / "proc/self").mkdir(parents=True)
        (root / "proc/self/exe").symlink_to(program)
        (root / "proc/cpuinfo").write_bytes(Path("/proc/cpuinfo").read_bytes())
    return subprocess.run(
        [tool("chroot", "coreutils"), str(root), program, *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
        check=False,
        env={},
    )


def _copy(library: Path, root: Path) -> None:
    target = root / library.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(library, target)
