"""The ORT format: a model for builds of ONNX Runtime that can't read ONNX, as apps use them."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Final

from resnet_deploy.artifact.unfinished import scratch_folder
from resnet_deploy.bundles import ort_converter
from resnet_deploy.errors import RunnerError
from resnet_deploy.processes import one_shot

ORT_FORMAT_OPTIONS: Final = (("session.enable_saved_runtime_optimizations", "1"),)
"""What a session needs to run an ORT format model as fast as the ONNX file.

Without it ONNX Runtime 1.31 leaves the fusions out, and an int8 file runs in float; older releases
apply them unasked.
"""

MIN_ONNXRUNTIME: Final = "1.16"
"""First release that reads version 6 of the format, which 1.31 writes; 1.15 refuses it."""

_LEVEL_VARIABLE = "ORT_CONVERT_ONNX_MODELS_TO_ORT_OPTIMIZATION_LEVEL"


@dataclass(frozen=True, kw_only=True)
class OrtFormat:
    """``model`` is the ``.ort`` file.

    ``operators`` is the configuration file that ONNX Runtime's ``build.py`` takes in
    ``--include_ops_by_config``: the operators and types that the model needs.
    """

    model: bytes
    operators: bytes


def to_ort_format(model: bytes) -> OrtFormat:
    """Convert a serialised ONNX model with ONNX Runtime's own converter: same input, same bytes.

    The optimisation style is ``Runtime``: fusions are saved beside the graph, and are applied to
    what no other execution provider takes.

    Raises:
        RunnerError: ONNX Runtime can't convert it.
    """
    with scratch_folder() as folder:
        source, made = folder / "model.onnx", folder / "made"
        source.write_bytes(model)
        made.mkdir()
        ended = one_shot.run(
            [sys.executable, "-B", ort_converter.__file__, str(source), str(made)],
            folder=folder,
            environment={k: value for k, value in os.environ.items() if k != _LEVEL_VARIABLE},
        )
        if ended.failure:
            raise RunnerError(
                f"ONNX Runtime can't convert the model to its own format: {ended.failure}"
            )
        return OrtFormat(
            model=(made / "model.ort").read_bytes(),
            operators=(made / "operators.config").read_bytes(),
        )
