"""A lesser CPU than this one: its instruction sets, hidden from every process that is measured.

Libraries choose their kernels by CPUID. ``cpuid_mask.c`` answers it for them as a CPU without AMX
(``vnni``) or without AVX-512 as well (``avx2``) would. That is this machine's clock and caches with
another CPU's kernels: it shows which file and runtime wins there, not what that CPU reaches.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from peers.environments import VENVS

KINDS = {
    "vnni": "AVX-512 with VNNI, no AMX",
    "avx2": "AVX2 alone",
}

_SOURCE = Path(__file__).with_name("cpuid_mask.c")


class HidingError(Exception):
    """Instruction sets can't be hidden here; the message says why."""


def hide(kind: str) -> None:
    """Show processes that are started from now on a CPU of ``kind``; this process keeps its own.

    Raises:
        HidingError: there is no compiler, or the processor or kernel can't make CPUID fault.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise HidingError("--as-cpu needs a C compiler")
    VENVS.mkdir(exist_ok=True)
    library = VENVS / "cpuid_mask.so"
    command = [compiler, "-O2", "-shared", "-fPIC", str(_SOURCE), "-o", str(library)]
    subprocess.run(command, check=True)
    shown = {"LD_PRELOAD": str(library), "RESNET_BENCH_AS": kind}
    tried = subprocess.run(
        ["/bin/true"], env={**os.environ, **shown}, capture_output=True, text=True, check=False
    )
    if tried.returncode:
        raise HidingError(tried.stderr.strip() or f"a masked process ended with {tried.returncode}")
    os.environ.update(shown)
