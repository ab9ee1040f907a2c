"""The releases of ONNX Runtime: which of them can load a file, and which opset one can read."""

from __future__ import annotations

import onnx

from resnet_deploy.errors import SpecError

_RELEASES = (
    ("1.7", 13, 7),
    ("1.8", 14, 7),
    ("1.9", 15, 8),
    ("1.11", 16, 8),
    ("1.12", 17, 8),
    ("1.14", 18, 8),
    ("1.15", 19, 9),
    ("1.17", 20, 9),
    ("1.18", 21, 10),
    ("1.21", 22, 10),
    ("1.23", 23, 11),
    ("1.24", 25, 13),
    ("1.25", 26, 13),
)
"""First release of ONNX Runtime with an operator set and an IR version.

Its documentation ("Compatibility") up to 1.20, except for the IR version of 1.15, which it gives as
8: 1.15.1 loads 9. From there on what the released packages load.
"""

FIRST_OPSET = 7
"""The first that ONNX Runtime promises to run: of many earlier operators it has no kernel."""

_BYTES = (onnx.TensorProto.UINT8, onnx.TensorProto.INT8)
_BYTE_MIN_MAX = "1.24"
"""First release that has Min and Max of bytes; earlier versions of this tool wrote such files."""


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of the default operator set; 0 when the model imports none."""
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    return max(versions, default=0)


def min_onnxruntime(model: onnx.ModelProto) -> str:
    """Return the first release of ONNX Runtime that loads ``model``, such as ``1.14``.

    Never less than 1.7, nor more than the newest release that is known here. Operators such as
    QLinearAdd, QGemm and NhwcMaxPool don't count: each release makes its own while it loads a file.
    """
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)
    first = _RELEASES[-1][0]
    for release, known_opset, known_ir in reversed(_RELEASES):
        if opset <= known_opset and model.ir_version <= known_ir:
            first = release
    return max(first, _BYTE_MIN_MAX, key=release_numbers) if _compares_bytes(model) else first


def newest_opset(release: str) -> int:
    """Return the highest opset that ``release`` of ONNX Runtime reads; ``1.16.3`` is ``1.16``.

    A release newer than the newest that is known here reads what that one reads.

    Raises:
        SpecError: ``release`` is not a version from 1.7 on.
    """
    major, _, rest = release.partition(".")
    minor = rest.partition(".")[0]
    known = [
        opset
        for first, opset, _ in _RELEASES
        if minor.isdecimal() and release_numbers(first) <= (1, int(minor))
    ]
    if major != "1" or not known:
        raise SpecError(
            f"--target-ort {release!r} is not supported: name a version from 1.7 on, as 1.16"
        )
    return known[-1]


def release_numbers(release: str) -> tuple[int, ...]:
    """Return major and minor of a release as numbers that can be compared: 1.9 is before 1.12."""
    return tuple(int(part) for part in release.split(".")[:2])


def _compares_bytes(model: onnx.ModelProto) -> bool:
    """Both inputs of Min and Max are of one type, so one input with a known type is enough."""
    graph = model.graph
    known = {value.name for value in graph.input if value.type.tensor_type.elem_type in _BYTES}
    known |= {tensor.name for tensor in graph.initializer if tensor.data_type in _BYTES}
    compared = (node.input for node in graph.node if node.op_type in ("Min", "Max"))
    return any(not known.isdisjoint(inputs) for inputs in compared)
