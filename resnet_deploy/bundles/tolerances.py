"""How far scores may be from the recorded ones, by precision and runtime."""

from __future__ import annotations

from typing import Final

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
    "fp32": 5e-5,
    "fp64": 5e-5,
    "fp16": 1e-2,
    "bf16": 1e-2,
    "int8": 1e-4,
}

_OPENVINO_BF16: Final = 1e-1

_PRECISION: Final = "INFERENCE_PRECISION_HINT"


def tolerance(precision: str, runtime: Runtime, target: BundleTarget) -> float:
    """Return the bound on ``max |score - recorded| / max |recorded|`` over one golden case."""
    if runtime.kind is BundleRuntime.ORT:
        return _ORT[precision]
    asked = dict(runtime.options).get(_PRECISION, "f32")
    if asked != "f32" or target is BundleTarget.TRITON:
        return _OPENVINO_BF16
    return _OPENVINO[precision]
