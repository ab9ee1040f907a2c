"""How far scores may be from the recorded ones, by precision and runtime."""

from __future__ import annotations

from typing import Final

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.made_for import has_float_stream
from resnet_deploy.bundles.runtime import Runtime
from resnet_deploy.spec import BundleRuntime, BundleTarget

_ORT: Final = {
    # Kernels add in another order on another CPU, or without an optimisation: 2.8e-6 at most.
    # Deeper nets than the measured ones have room here.
    "fp32": 5e-5,
    "fp64": 5e-5,
    # Half precision: other kernels round after other operators, see FP16_TOLERANCE.
    "fp16": 1e-2,
    "bf16": 1e-2,
    # Codes are whole numbers and were the same everywhere: 2.4e-7 comes from the few float
    # operators at the end. A code or two that round otherwise are let through; a CPU that
    # saturates is off by more than a hundred times as much.
    "int8": 1e-4,
}

_OPENVINO: Final = {
    # 2.5e-6 at most from SSE4.1 to AMX; nothing between AVX2 and AMX, releases 2024.6 to 2026.4,
    # 1 and 2 threads, batches of 1 to 8.
    "fp32": 5e-5,
    "fp64": 5e-5,
    "fp16": 1e-2,
    "bf16": 1e-2,
    # Not a bit differs on CPUs with VNNI, by the same list. Without VNNI products saturate, as on
    # ONNX Runtime: 0.13 to 1.1 of the largest score, and that is what the self-test has to find.
    "int8": 1e-4,
}

_OPENVINO_BF16: Final = {
    # Of the float parts alone in an int8 file, where codes round otherwise behind them. Measured
    # against float32: 3.1e-2 in fp32, and 8.2e-2 in int8, in 107 cases of ResNet-20.
    "fp32": 5e-2,
    "fp64": 5e-2,
    "fp16": 5e-2,
    "bf16": 5e-2,
    "int8": 1e-1,
}
"""Where the CPU decides whether float parts are computed in bfloat16."""

_PRECISION: Final = "INFERENCE_PRECISION_HINT"


_FEW_CODES: Final = 1e-2
"""Of features and embeddings in int8, and of all int8 files with a residual stream in float.

A value that a float operator computes a little otherwise may round to the next code, which is 1/127
of the largest; a map shows each of these, where a classifier averages them. A CPU that saturates is
off by more than ten times as much.
"""


def tolerance(artifact: Artifact, runtime: Runtime, target: BundleTarget) -> float:
    """Return the bound on ``max |value - recorded| / max |recorded|`` over one golden case.

    All targets came out alike, except for Triton's OpenVINO: its backend can't be told to compute
    in float32. docs/reference/bundles.md has what was measured.
    """
    bounds = _bounds(runtime, target)
    found = bounds[artifact.precision]
    arrays = artifact.precision == "int8" and not artifact.output_kind.has_classes
    return max(found, _FEW_CODES) if arrays or has_float_stream(artifact) else found


def _bounds(runtime: Runtime, target: BundleTarget) -> dict[str, float]:
    if runtime.kind is BundleRuntime.ORT:
        return _ORT
    asked = dict(runtime.options).get(_PRECISION, "f32")
    return _OPENVINO_BF16 if asked != "f32" or target is BundleTarget.TRITON else _OPENVINO
