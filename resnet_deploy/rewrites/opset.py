"""Which operator set and IR version a file asks for, and which ONNX Runtime can read it."""

from __future__ import annotations

import onnx

from resnet_deploy.artifact.onnx_file import opset_of
from resnet_deploy.errors import ExportError, SpecError, one_line
from resnet_deploy.graph.module_names import restore_modules

DEFAULT_OPSET = 17
"""Read by ONNX Runtime 1.12 and later; nothing newer is needed by a convolutional network."""

MIN_OPSET = 13
"""Per-channel QuantizeLinear came with opset 13."""

MAX_OPSET = 23

OPSET_OF_ORT = {
    7: 13,
    8: 14,
    9: 15,
    10: 15,
    11: 16,
    12: 17,
    13: 17,
    14: 18,
    15: 19,
    16: 19,
    17: 20,
    18: 21,
    19: 21,
    20: 21,
    21: 22,
    22: 22,
    23: 23,
}
"""Highest opset of ONNX Runtime 1.NN (its docs, "ONNX opset support")."""

_UNCHANGED = frozenset(
    {
        "Add",
        "AveragePool",
        "BatchNormalization",
        "Clip",
        "Concat",
        "Conv",
        "DequantizeLinear",
        "Flatten",
        "Gemm",
        "GlobalAveragePool",
        "Identity",
        "MatMul",
        "MaxPool",
        "Mul",
        "Pad",
        "QuantizeLinear",
        "Relu",
        "Reshape",
        "Sigmoid",
        "Slice",
        "Softmax",
        "SpaceToDepth",
        "Sub",
        "TopK",
        "Transpose",
    }
)
"""Operators that mean the same in every opset from 13 on; later ones only added types."""


def choose_opset(opset: int | None, target_ort: str | None) -> int:
    """Return the opset to write: ``opset`` (17 if None), but nothing ``target_ort`` can't read.

    Raises:
        SpecError: the opset is outside 13 to 23, or ``target_ort`` is no version from 1.7 on.
    """
    wanted = DEFAULT_OPSET if opset is None else opset
    if not MIN_OPSET <= wanted <= MAX_OPSET:
        raise SpecError(f"--opset {wanted} is not supported: use {MIN_OPSET} to {MAX_OPSET}")
    return wanted if target_ort is None else min(wanted, _opset_of(target_ort))


def _opset_of(target_ort: str) -> int:
    major, _, rest = target_ort.partition(".")
    minor = rest.partition(".")[0]
    if major != "1" or not minor.isdigit() or int(minor) < min(OPSET_OF_ORT):
        raise SpecError(
            f"--target-ort {target_ort!r} is not supported: name a version from 1.7 on, as 1.16"
        )
    return OPSET_OF_ORT.get(int(minor), MAX_OPSET)


def set_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Return ``model`` in ``opset``, with the lowest IR version that this opset goes with.

    Raises:
        ExportError: an operator can't be expressed in ``opset``.
    """
    converted = onnx.ModelProto()
    converted.CopyFrom(model)
    before = opset_of(model)
    unchanged = _UNCHANGED if before >= MIN_OPSET else frozenset()
    try:
        if before != opset and not {node.op_type for node in model.graph.node} <= unchanged:
            converted = onnx.version_converter.convert_version(model, opset)
            restore_modules(model, converted)
        del converted.opset_import[:]
        converted.opset_import.append(onnx.helper.make_opsetid("", opset))
        converted.ir_version = onnx.helper.find_min_ir_version_for(list(converted.opset_import))
        onnx.checker.check_model(converted)
    except (RuntimeError, ValueError, onnx.checker.ValidationError) as error:
        reason = one_line(error)
        raise ExportError(f"the graph does not fit opset {opset}: {reason}") from error
    return converted
