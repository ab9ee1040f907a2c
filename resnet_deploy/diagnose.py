"""What this machine can run, what that means for int8, and what is missing."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

from resnet_deploy.dependencies import INSTALL, MAKING
from resnet_deploy.errors import ResnetDeployError
from resnet_deploy.isa.instruction_sets import ISAS
from resnet_deploy.isa.tools import FETCH_COMMAND, NOT_FETCHED, status
from resnet_deploy.results import Diagnosis, Environment, Missing, RunnerStatus
from resnet_deploy.runners.cpu import allowed_cpus, cgroup_quota, cpu_vendor, physical_cores
from resnet_deploy.runners.ort_openvino_runner import openvino_devices
from resnet_deploy.runners.ort_runner import execution_providers
from resnet_deploy.runners.registry import runner_status

_INTEL = "GenuineIntel"


def diagnose(here: Environment) -> Diagnosis:
    """Look at this machine, which is ``here``. PyTorch is not imported."""
    import psutil

    memory = psutil.virtual_memory()
    isas = {name: status(isa) for name, isa in ISAS.items()}
    emulators = Missing(package="emulators", needed_for="verify --isa", install=FETCH_COMMAND)
    return Diagnosis(
        environment=here,
        allowed_cpus=len(allowed_cpus()),
        physical_cores=physical_cores(),
        quota=cgroup_quota(),
        memory_bytes=memory.total,
        available_bytes=memory.available,
        execution_providers=execution_providers(),
        runners=runners_here(),
        isas=isas,
        missing=missing_packages() + (emulators,) * (NOT_FETCHED in isas.values()),
    )


def runners_here() -> tuple[RunnerStatus, ...]:
    """Return every runner, and what keeps it from running here.

    OpenVINO's plugin is asked for its devices where it is installed; elsewhere the CPU's vendor
    tells what it would say.
    """
    return tuple(
        _with_device(status) if status.name == "ort-openvino" else status
        for status in runner_status()
    )


def _with_device(status: RunnerStatus) -> RunnerStatus:
    lists_none = "lists no device here, it does on Intel CPUs only"
    if not status.installed:
        if cpu_vendor() == _INTEL:
            return status
        return replace(status, problem=f"{status.problem}; {lists_none}")
    try:
        devices = openvino_devices()
    except ResnetDeployError as error:
        return replace(status, problem=str(error))
    return status if devices else replace(status, problem=f"installed, but {lists_none}")


def missing_packages() -> tuple[Missing, ...]:
    """Return what making networks needs and is not installed, found without importing it."""
    return tuple(
        Missing(package=package, needed_for=needed_for, install=INSTALL)
        for package, needed_for in MAKING.items()
        if importlib.util.find_spec(package) is None
    )
