"""How far the answer of another build of ONNX Runtime may be from the recorded one.

The figures are bounds on ``max |score - recorded| / max |recorded|`` over one golden case. Each is
about ten times the largest difference that was measured; docs/bundles.md lists what was.
"""

from __future__ import annotations

from typing import Final

from resnet_deploy.spec import BundleTarget

FP32: Final = {
    BundleTarget.CPP: 1e-4,
    BundleTarget.MOBILE: 1e-4,
    BundleTarget.NODE: 1e-4,
    BundleTarget.WEB: 1e-4,
    BundleTarget.TRITON: 1e-4,
}

INT8: Final = {
    BundleTarget.CPP: 1e-3,
    BundleTarget.MOBILE: 1e-3,
    BundleTarget.NODE: 1e-3,
    BundleTarget.WEB: 1e-3,
    BundleTarget.TRITON: 1e-3,
}


def tolerance(target: BundleTarget, precision: str) -> float:
    """Return the bound for files of ``precision`` (``fp32`` or ``int8``) run by ``target``."""
    return (INT8 if precision == "int8" else FP32)[target]
