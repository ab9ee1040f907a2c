"""Session options that travel inside an ONNX file.

ONNX Runtime reads the metadata entry ``ort_config`` of a model when the environment variable
``ORT_LOAD_CONFIG_FROM_MODEL`` is ``1`` (``onnxruntime/core/session/inference_session_utils.cc``).
Five options are read, all of them whole numbers; others are ignored there, so they are refused
here. The options in the file then *replace* all those that the program asked for, those that the
file does not name being ONNX Runtime's defaults: a program that also wants session config entries
must leave the variable unset and read the entry itself.
"""

from __future__ import annotations

import json

import onnx

from resnet_deploy.errors import SpecError
from resnet_deploy.runners.session_options import attribute_value
from resnet_deploy.spec import Optimization, SessionSpec

ORT_CONFIG_KEY = "ort_config"
"""Its key in the model's ``metadata_props``."""

TRAVELLING = (
    "intra_op_num_threads",
    "inter_op_num_threads",
    "execution_mode",
    "graph_optimization_level",
    "enable_profiling",
)
"""The options that ONNX Runtime reads from a file."""


def ort_config(spec: SessionSpec) -> str:
    """Return ``spec`` as the JSON text that ONNX Runtime reads from a model.

    What equals ONNX Runtime's default is left out: ``threads`` 0 is decided where the file runs.

    Raises:
        SpecError: ``spec`` has an option that can't travel in a file.
    """
    options: dict[str, int] = {}
    if spec.threads:
        options["intra_op_num_threads"] = spec.threads
    if spec.optimization is Optimization.OFF:
        options["graph_optimization_level"] = 0
    if not spec.spin:
        raise _stays("session.intra_op.allow_spinning")
    for key, value in spec.options:
        if key not in TRAVELLING:
            raise _stays(key)
        options[key] = int(attribute_value(key, value))
    return json.dumps({"session_options": options}, sort_keys=True)


def set_ort_config(model: onnx.ModelProto, spec: SessionSpec) -> None:
    """Write ``spec`` into the metadata of ``model``, in place of what was there.

    Raises:
        SpecError: as :func:`ort_config`.
    """
    text = ort_config(spec)
    kept = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, {**kept, ORT_CONFIG_KEY: text})


def _stays(key: str) -> SpecError:
    return SpecError(
        f"session option {key} can't travel in an ONNX file: ONNX Runtime reads "
        f"{', '.join(TRAVELLING)} from there, set this one in the program"
    )
