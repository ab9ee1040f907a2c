"""Which kernels are this CPU's own."""

from __future__ import annotations

import platform

import pytest

from resnet_deploy.errors import SpecError
from resnet_deploy.isa import instruction_sets as module
from resnet_deploy.isa.instruction_sets import ISAS, is_native, isa_named, machine


@pytest.mark.parametrize(
    ("system", "extensions", "native"),
    [
        ("x86_64", ("sse4.1", "avx2"), {"x86-avx2"}),
        ("AMD64", ("avx2", "avx_vnni"), {"x86-vnni"}),
        ("x86_64", ("avx2", "avx512f"), set()),
        ("x86_64", ("avx2", "avx512f", "avx512_vnni", "amx_int8"), {"x86-vnni"}),
        ("x86_64", ("sse4.1",), set()),
        ("aarch64", ("asimd", "asimddp"), {"arm64"}),
        ("arm64", ("asimd",), {"arm64"}),
        ("riscv64", (), set()),
    ],
)
def test_native_kernels(monkeypatch, system, extensions, native):
    monkeypatch.setattr(platform, "machine", lambda: system)
    monkeypatch.setattr(module, "isa", lambda: extensions)
    assert {name for name, isa in ISAS.items() if is_native(isa)} == native


def test_systems_name_one_machine_differently(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "ARM64")
    assert machine() == "aarch64"


def test_an_unknown_isa_is_refused_with_the_known_ones():
    assert isa_named("arm64").machine == "aarch64"
    with pytest.raises(SpecError, match="x86-avx2, x86-vnni, arm64"):
        isa_named("mips")
