"""The instruction sets whose int8 kernels differ, and which of them this CPU has itself.

ONNX Runtime picks its kernels by CPUID when a session runs. AVX2 adds pairs of u8*s8 products in
16 bits and saturates; VNNI and the dot product of ARM add them in 32 bits.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass

from resnet_deploy.errors import SpecError
from resnet_deploy.runners.cpu import has_vnni, isa


@dataclass(frozen=True, kw_only=True)
class Isa:
    """One instruction set.

    ``emulated_cpu`` is the CPU that QEMU's user-mode emulator shows, None where it has none;
    NumPy, asked inside, must see all of ``features`` and none of ``absent``.
    """

    name: str
    machine: str
    emulated_cpu: str | None
    features: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()


ISAS = {
    instruction_set.name: instruction_set
    for instruction_set in (
        Isa(
            name="x86-avx2",
            machine="x86_64",
            emulated_cpu="Haswell",
            features=frozenset({"AVX2", "FMA3"}),
            absent=frozenset({"AVX512F"}),
        ),
        # QEMU emulates neither AVX-512 nor any VNNI.
        Isa(name="x86-vnni", machine="x86_64", emulated_cpu=None),
        Isa(
            name="arm64",
            machine="aarch64",
            emulated_cpu="neoverse-n1",
            features=frozenset({"ASIMDDP"}),
        ),
    )
}
"""Name on the command line -> instruction set."""

_MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}


def isa_named(name: str) -> Isa:
    """Return the instruction set called ``name``.

    Raises:
        SpecError: there is none of that name.
    """
    if name not in ISAS:
        raise SpecError(f"there is no ISA {name!r}: choose from {', '.join(ISAS)}")
    return ISAS[name]


def machine() -> str:
    """Return ``x86_64`` or ``aarch64``, whatever the system calls it; others as they are."""
    found = platform.machine().lower()
    return _MACHINES.get(found, found)


def is_native(wanted: Isa) -> bool:
    """Return whether ONNX Runtime picks the kernels of ``wanted`` on this CPU by itself."""
    if wanted.machine != machine():
        return False
    extensions = isa()
    if wanted.name == "x86-avx2":
        # AVX-512 without VNNI has kernels of its own.
        return "avx2" in extensions and "avx512f" not in extensions and not has_vnni(extensions)
    return wanted.machine == "aarch64" or has_vnni(extensions)
