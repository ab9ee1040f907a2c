from __future__ import annotations

import importlib.util
from csv import reader
from dataclasses import replace

import pytest

from resnet_deploy.dependencies import INSTALL
from resnet_deploy.diagnose import diagnose, missing_packages, runners_here
from resnet_deploy.errors import RunnerError
from resnet_deploy.report import csv
from resnet_deploy.results import to_dict
from resnet_deploy.runners.cpu import environment, has_vnni
from resnet_deploy.runners.registry import RUNNERS
from tests.support.environment import HERE


@pytest.mark.parametrize(
    ("isa", "vnni", "said"),
    [
        (("avx2", "avx512f", "avx512_vnni"), True, "fast and exact"),
        (("asimd", "asimddp"), True, "fast and exact"),
        (("sse4.1", "avx2"), False, "may saturate"),
        (("sse4.1",), False, "likely slower than fp32"),
    ],
)
def test_int8_is_judged_by_the_vector_extensions(isa, vnni, said):
    found = diagnose(replace(HERE, isa=isa))
    assert has_vnni(isa) is found.vnni is vnni
    assert said in found.int8


def test_a_diagnosis_of_this_machine():
    found = diagnose(environment("resnet-deploy doctor"))
    assert "CPUExecutionProvider" in found.execution_providers
    assert found.memory_bytes >= found.available_bytes > 0
    assert 1 <= found.environment.cores <= found.physical_cores <= found.allowed_cpus
    data = to_dict(found)
    assert data["environment"]["command"] == "resnet-deploy doctor"
    assert data["vnni"] is found.vnni


def test_missing_packages_come_with_the_command_that_installs_them(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    missing = missing_packages()
    assert "torch" in [needed.package for needed in missing]
    assert {needed.install for needed in missing} == {INSTALL}
    said = dict(reader(csv(replace(diagnose(HERE), missing=missing)).splitlines()))
    assert "pip install" in said["missing: torch"]


def test_every_runner_is_listed_with_its_state():
    found = {status.name: status for status in diagnose(HERE).runners}
    assert found["ort"].installed
    assert found.keys() == RUNNERS.keys()


def plugin_problem() -> str:
    return next(status.problem for status in runners_here() if status.name == "ort-openvino")


def test_the_plugin_lists_no_device_on_other_cpus(monkeypatch):
    monkeypatch.setattr("resnet_deploy.diagnose.cpu_vendor", lambda: "AuthenticAMD")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert plugin_problem() == (
        "not installed: pip install 'resnet-deploy[openvino]'; "
        "lists no device here, it does on Intel CPUs only"
    )
    monkeypatch.setattr("resnet_deploy.diagnose.cpu_vendor", lambda: "GenuineIntel")
    assert plugin_problem() == "not installed: pip install 'resnet-deploy[openvino]'"


def test_an_installed_plugin_is_asked(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr("resnet_deploy.diagnose.openvino_devices", lambda: [object()])
    assert plugin_problem() == ""
    monkeypatch.setattr("resnet_deploy.diagnose.openvino_devices", list)
    assert plugin_problem().startswith("installed, but lists no device here")

    def broken() -> None:
        raise RunnerError("the plugin can't be loaded")

    monkeypatch.setattr("resnet_deploy.diagnose.openvino_devices", broken)
    assert plugin_problem() == "the plugin can't be loaded"


def test_kernels_that_could_be_fetched_are_missing(monkeypatch):
    monkeypatch.setattr("resnet_deploy.diagnose.status", lambda isa: "not fetched")
    found = diagnose(HERE)
    assert found.isas["arm64"] == "not fetched"
    assert found.isas["x86-avx2"] == "not fetched"
    assert found.missing[-1].package == "emulators"
    assert found.missing[-1].install == "resnet-deploy doctor --fetch-isa-tools"
