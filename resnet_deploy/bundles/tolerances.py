"""How far the answer of another build of ONNX Runtime may be from the recorded one.

The figures bound ``max |score - recorded| / max |recorded|`` over one golden case. All targets
came out alike, so one bound per precision holds for all; docs/bundles.md has what was measured.
"""

from __future__ import annotations

from typing import Final

TOLERANCES: Final = {
    # Kernels add in another order on another CPU, or without an optimisation: 2.8e-6 at most.
    # Deeper nets than the measured ones have room here.
    "fp32": 5e-5,
    # Codes are whole numbers and were the same everywhere: 2.4e-7 comes from the few float
    # operators at the end. A code or two that round otherwise are let through; a CPU that
    # saturates is off by more than a hundred times as much.
    "int8": 1e-4,
}
"""By :attr:`~resnet_deploy.artifact.onnx_file.Artifact.precision`."""
