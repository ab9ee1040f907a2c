"""ONNX Runtime with OpenVINO's execution provider, a plugin that comes as a package."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_deploy.errors import MissingDependencyError, RunnerError
from resnet_deploy.runners.openvino_runner import properties, reason
from resnet_deploy.runners.ort_runner import OrtRunner, session_options, source_of
from resnet_deploy.runners.session_options import is_openvino_property
from resnet_deploy.spec import SessionSpec

if TYPE_CHECKING:
    import onnxruntime

PROVIDER = "OpenVINOExecutionProvider"

_REGISTRATION = "resnet_deploy.openvino"
_RECORD = "session.record_ep_graph_assignment_info"


class OrtOpenVinoRunner(OrtRunner):
    """Runs an ONNX file with ONNX Runtime, its graph handed to OpenVINO on this CPU.

    ``spec.options`` in capitals are OpenVINO's properties; the others are session options. A
    graph that OpenVINO does not take as a whole is refused: parts of it would run in ONNX
    Runtime's own kernels, and the figures would be of a mixture.

    Raises:
        ArtifactError: the file is missing or no ONNX image classifier.
        MissingDependencyError: onnxruntime-ep-openvino is not installed.
        RunnerError: the plugin lists no CPU device here, or refuses the model or a property, or
            took only parts of the graph.
        SpecError: there is no such session option.
    """

    name = "ort-openvino"

    def __init__(self, path: Path, spec: SessionSpec | None = None) -> None:
        self._devices = openvino_devices()  # loads the plugin, which is not loading the model
        if not self._devices:
            raise RunnerError(
                "onnxruntime-ep-openvino lists no CPU device here (it does on Intel CPUs only): "
                "use the runner openvino, which runs on any CPU"
            )
        super().__init__(path, spec)

    def _open(self, model: Path | bytes, spec: SessionSpec) -> onnxruntime.InferenceSession:
        import onnxruntime as ort

        own = tuple(item for item in spec.options if not is_openvino_property(item[0]))
        options = session_options(replace(spec, options=own))
        options.add_session_config_entry(_RECORD, "1")
        # The provider takes properties as JSON only, and ignores what else it is given.
        configuration = json.dumps({"CPU": properties(spec)})
        where = model if isinstance(model, Path) else "the model"
        try:
            options.add_provider_for_devices(list(self._devices), {"load_config": configuration})
            session = ort.InferenceSession(source_of(model), options)
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise RunnerError(
                f"OpenVINO in ONNX Runtime {ort.__version__} refuses {where}: {reason(error)}"
            ) from error
        left = _left_to_others(session)
        if left:
            raise RunnerError(
                f"OpenVINO takes only parts of {where}, and leaves {', '.join(left[:5])} to ONNX "
                "Runtime's own kernels: use the runner ort or openvino"
            )
        return session


def openvino_devices() -> Sequence[onnxruntime.OrtEpDevice]:
    """Return the CPU devices of OpenVINO's plugin, which is loaded for that; often none.

    Raises:
        MissingDependencyError: onnxruntime-ep-openvino is not installed, or ONNX Runtime is too
            old for plugins.
        RunnerError: the plugin can't be loaded.
    """
    try:
        import onnxruntime as ort
        import onnxruntime_ep_openvino as plugin
    except ImportError as error:
        raise MissingDependencyError(
            "the ort-openvino runner needs OpenVINO's plugin for ONNX Runtime: "
            "pip install 'resnet-deploy[openvino]'"
        ) from error
    if not hasattr(ort, "get_ep_devices"):
        raise MissingDependencyError(
            f"ONNX Runtime {ort.__version__} is too old for plugins: "
            "pip install 'onnxruntime>=1.23'"
        )
    found = _cpu_devices(ort.get_ep_devices())
    if found:
        return found  # registered before; a second time is an error
    try:
        ort.register_execution_provider_library(_REGISTRATION, plugin.get_library_path())
    except Exception as error:  # onnxruntime's exceptions share no base class
        if "already registered" not in str(error):
            raise RunnerError(
                f"OpenVINO's plugin can't be loaded into ONNX Runtime {ort.__version__}: "
                f"{reason(error)}"
            ) from error
    return _cpu_devices(ort.get_ep_devices())


def _cpu_devices(devices: Sequence[onnxruntime.OrtEpDevice]) -> Sequence[onnxruntime.OrtEpDevice]:
    return [
        device
        for device in devices
        if device.ep_name == PROVIDER and device.ep_metadata.get("ov_device") == "CPU"
    ]


def _left_to_others(session: onnxruntime.InferenceSession) -> list[str]:
    """Return the operators that OpenVINO did not take; ONNX Runtime does not report them."""
    assigned = session.get_provider_graph_assignment_info()
    return sorted(
        {node.op_type for part in assigned if part.ep_name != PROVIDER for node in part.get_nodes()}
    )
