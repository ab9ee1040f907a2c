from __future__ import annotations

import importlib.util
from csv import reader
from dataclasses import replace

import pytest

from resnet_deploy.dependencies import INSTALL, MAKING
from resnet_deploy.diagnose import diagnose, missing_packages, runners_here
from resnet_deploy.errors import RunnerError
from resnet_deploy.isa.tools import FETCH_COMMAND
from resnet_deploy.report import csv
from resnet_deploy.results import Diagnosis, Missing, to_dict
from resnet_deploy.runners.cpu import environment, has_vnni
from resnet_deploy.runners.registry import RUNNERS
from tests.support.environment import HERE
from tests.support.terminal import printed


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


def everything_missing() -> Diagnosis:
    """Return the worst of all machines."""
    found = diagnose(replace(HERE, cpu="A processor with a very long name " * 5))
    problems = {
        "torch": f"not installed: {INSTALL}",
        "torch-channels-last": f"not installed: {INSTALL}",
        "torch-compile": "needs a C++ compiler, which is not installed, and its headers besides",
        "ort-openvino": "not installed: pip install x; lists no device here, on Intel CPUs only",
        "openvino": "not installed: pip install 'resnet-deploy[openvino]'",
        "openvino-bf16": "this CPU does not compute in bfloat16, which is a pity for this runner",
    }
    runners = tuple(
        replace(one, installed=one.name not in problems, problem=problems.get(one.name, ""))
        for one in found.runners
    )
    absent = tuple(Missing(package=p, needed_for=n, install=INSTALL) for p, n in MAKING.items())
    emulators = Missing(package="emulators", needed_for="verify --isa", install=FETCH_COMMAND)
    return replace(found, runners=runners, missing=(*absent, emulators))


def test_one_screen_says_what_is_missing_and_how_to_mend_it():
    for found in (everything_missing(), replace(everything_missing(), missing=(), runners=())):
        lines = printed(found, width=80).splitlines()
        assert len(lines) <= 24
        assert max(map(len, lines)) <= 80
    lines = [line.strip() for line in printed(everything_missing(), width=80).splitlines()]
    assert [line for line in lines if line.startswith("$")] == [
        f"$ {INSTALL}",
        f"$ {FETCH_COMMAND}",
        "$ pip install 'resnet-deploy[openvino]'",
    ]
    assert any(line.startswith("runner torch-compile: needs a C++ compiler") for line in lines)
    assert "runner openvino" in lines  # and not the plugin, which no installation would help
