"""Which releases of ONNX Runtime can load a file."""

from __future__ import annotations

import onnx

_RELEASES = (
    ("1.12", 17, 8),
    ("1.14", 18, 8),
    ("1.15", 19, 9),
    ("1.17", 20, 9),
    ("1.18", 21, 10),
    ("1.20", 21, 10),
    ("1.22", 22, 10),
    ("1.23", 23, 11),
)
"""First release of ONNX Runtime with an operator set and an IR version, from its documentation."""


def min_onnxruntime(model: onnx.ModelProto) -> str:
    """Return the first release of ONNX Runtime that loads ``model``, such as ``1.14``."""
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)
    for release, known_opset, known_ir in _RELEASES:
        if opset <= known_opset and model.ir_version <= known_ir:
            return release
    return _RELEASES[-1][0]
