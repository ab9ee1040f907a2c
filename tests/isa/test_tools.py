"""What is there, what is missing, and what is said about it; nothing is downloaded."""

from __future__ import annotations

import importlib.metadata
import platform
import sys

import pytest

from resnet_deploy.errors import MissingDependencyError, SpecError
from resnet_deploy.isa import instruction_sets as isa_module
from resnet_deploy.isa.instruction_sets import ISAS
from resnet_deploy.isa.tools import (
    FETCH_COMMAND,
    NOT_FETCHED,
    fetch_tools,
    find_tools,
    host_site,
    isa_folder,
    status,
)

AVX2, VNNI, ARM64 = (ISAS[name] for name in ("x86-avx2", "x86-vnni", "arm64"))


@pytest.fixture(autouse=True)
def host(monkeypatch, tmp_path):
    """An x86-64 Linux with VNNI and an empty cache."""
    monkeypatch.setenv("RESNET_DEPLOY_CACHE", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(isa_module, "isa", lambda: ("avx2", "avx512f", "avx512_vnni"))


def install(*, version: str) -> None:
    for machine in ("x86_64", "aarch64"):
        emulator = isa_folder() / f"emulators/qemu-{machine}"
        emulator.parent.mkdir(parents=True, exist_ok=True)
        emulator.touch()
    python = isa_folder() / "arm64/usr/bin/python3.11"
    python.parent.mkdir(parents=True)
    python.touch()
    (isa_folder() / f"arm64-onnxruntime-{version}").mkdir()


@pytest.mark.parametrize("isa", [AVX2, ARM64])
def test_missing_tools_come_with_the_command_that_fetches_them(isa):
    with pytest.raises(MissingDependencyError, match=FETCH_COMMAND):
        find_tools(isa)
    assert status(isa) == NOT_FETCHED


def test_what_was_fetched_is_found():
    install(version=importlib.metadata.version("onnxruntime"))
    assert {status(AVX2), status(ARM64)} == {"emulated"}
    avx2, arm64 = find_tools(AVX2), find_tools(ARM64)
    assert avx2.command[1:4] == ("-cpu", "Haswell", sys.executable)
    assert avx2.site == host_site()
    assert arm64.command[3] == "-L"
    assert arm64.command[5].endswith("arm64/usr/bin/python3.11")


def test_tools_for_another_onnx_runtime_do_not_count():
    install(version="1.0")
    with pytest.raises(MissingDependencyError, match=importlib.metadata.version("onnxruntime")):
        find_tools(ARM64)


def test_what_qemu_does_not_emulate_is_refused(monkeypatch):
    assert status(VNNI) == "this CPU"
    monkeypatch.setattr(isa_module, "isa", lambda: ("avx2",))
    assert status(VNNI) == "not on this machine"
    with pytest.raises(SpecError, match="drop it from --isa"):
        find_tools(VNNI)


def test_other_machines_emulate_nothing(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert status(ARM64) == "this CPU"
    assert status(AVX2) == "not on this machine"
    with pytest.raises(SpecError, match="x86-64 Linux only"):
        fetch_tools()


def test_fetching_without_debian_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match="apt-get is not installed"):
        fetch_tools()
    assert list(isa_folder().iterdir()) == []


def test_an_unreachable_source_is_named_and_nothing_is_left(monkeypatch, tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    apt = programs / "apt-get"
    apt.write_text("#!/bin/sh\necho 'W: Failed to fetch the list' >&2\nexit 100\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/bin:/usr/bin")
    with pytest.raises(MissingDependencyError, match=r"qemu-user-static.*Failed to fetch the list"):
        fetch_tools()
    assert list(isa_folder().iterdir()) == []
