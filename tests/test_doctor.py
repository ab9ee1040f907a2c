from __future__ import annotations

import importlib.util
from dataclasses import replace

import pytest

from resnet_deploy.doctor import diagnose, missing_packages, rows
from resnet_deploy.results import to_dict


@pytest.mark.parametrize(
    ("isa", "vnni", "said"),
    [
        (("avx2", "avx512f", "avx512_vnni"), True, "fast and exact"),
        (("asimd", "asimddp"), True, "fast and exact"),
        (("sse4.1", "avx2"), False, "may saturate"),
        (("sse4.1",), False, "not worth it"),
    ],
)
def test_int8_is_judged_by_the_vector_extensions(isa, vnni, said):
    found = diagnose("resnet-deploy doctor")
    found = replace(found, environment=replace(found.environment, isa=isa))
    assert found.vnni is vnni
    assert said in found.int8


def test_a_diagnosis_of_this_machine():
    found = diagnose("resnet-deploy doctor")
    assert "CPUExecutionProvider" in found.execution_providers
    assert found.memory_bytes >= found.available_bytes > 0
    assert 1 <= found.environment.cores <= found.physical_cores <= found.allowed_cpus
    data = to_dict(found)
    assert data["environment"]["command"] == "resnet-deploy doctor"
    assert data["vnni"] is found.vnni


def test_missing_packages_come_with_the_command_that_installs_them(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    missing = missing_packages()
    assert "torch" in [one.package for one in missing]
    assert {one.install for one in missing} == {"pip install 'resnet-deploy[export]'"}
    words = dict(rows(replace(diagnose("x"), missing=missing)))
    assert "pip install" in words["missing: torch"]


def test_kernels_that_could_be_fetched_are_missing(monkeypatch):
    monkeypatch.setattr("resnet_deploy.doctor.status", lambda isa: "not fetched")
    found = diagnose("x")
    assert found.isas["arm64"] == "not fetched"
    words = dict(rows(found))
    assert words["kernels for --isa"].startswith("x86-avx2: not fetched")
    assert words["missing: emulators"].endswith("resnet-deploy doctor --fetch-isa-tools")
