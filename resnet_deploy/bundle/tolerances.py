"""How far the answer of another build of ONNX Runtime may be from the recorded one.

The figures bound ``max |score - recorded| / max |recorded|`` over one golden case. docs/bundles.md has
what they come from: the largest difference that was measured in fp32 is 2.8e-6, in int8 2.4e-7.
"""

from __future__ import annotations

from typing import Final

from resnet_deploy.spec import BundleTarget

# Kernels add in another order on another CPU, or without an optimisation. Deeper nets than the
# measured ones have room here.
_SUMS_IN_ANOTHER_ORDER = 5e-5

# Codes are whole numbers, and were the same wherever they may be: differences come from the few
# float operators at the end. A code or two that round otherwise are let through; a CPU that
# saturates is off by more than a hundred times as much.
_THE_SAME_CODES = 1e-4

FP32: Final = {
    BundleTarget.CPP: _SUMS_IN_ANOTHER_ORDER,
    BundleTarget.MOBILE: _SUMS_IN_ANOTHER_ORDER,
    BundleTarget.NODE: _SUMS_IN_ANOTHER_ORDER,
    BundleTarget.WEB: _SUMS_IN_ANOTHER_ORDER,
    BundleTarget.TRITON: _SUMS_IN_ANOTHER_ORDER,
}

INT8: Final = {
    BundleTarget.CPP: _THE_SAME_CODES,
    BundleTarget.MOBILE: _THE_SAME_CODES,
    BundleTarget.NODE: _THE_SAME_CODES,
    BundleTarget.WEB: _THE_SAME_CODES,
    BundleTarget.TRITON: _THE_SAME_CODES,
}


def tolerance(target: BundleTarget, precision: str) -> float:
    """Return the bound for files of ``precision`` (``fp32`` or ``int8``) run by ``target``."""
    return (INT8 if precision == "int8" else FP32)[target]
