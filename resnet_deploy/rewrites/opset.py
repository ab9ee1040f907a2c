"""Which operator set and IR version a file asks for, and which ONNX Runtime can read it."""

from __future__ import annotations

import copy

import onnx

from resnet_deploy.artifact.model_file import opset_of
from resnet_deploy.errors import ExportError, SpecError, one_line
from resnet_deploy.graph.module_names import restore_modules
from resnet_deploy.graph.releases import newest_opset

DEFAULT_OPSET = 17
"""Read by ONNX Runtime 1.12 and later; nothing newer is needed by a convolutional network."""

MIN_OPSET = 13
"""Per-channel QuantizeLinear came with opset 13."""

MAX_OPSET = 23

_UNCHANGED = frozenset(
    {
        "Abs",
        "Add",
        "AveragePool",
        "BatchNormalization",
        "Clip",
        "Concat",
        "Conv",
        "DequantizeLinear",
        "Div",
        "Elu",
        "Erf",
        "Exp",
        "Expand",
        "Flatten",
        "Gather",
        "Gemm",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "HardSigmoid",
        "Identity",
        "LeakyRelu",
        "MatMul",
        "Max",
        "MaxPool",
        "Min",
        "Mul",
        "Neg",
        "PRelu",
        "Pad",
        "Pow",
        "QuantizeLinear",
        "Reciprocal",
        "ReduceSum",
        "Relu",
        "Reshape",
        "Sigmoid",
        "Slice",
        "Softmax",
        "SpaceToDepth",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Tanh",
        "TopK",
        "Transpose",
        "Unsqueeze",
    }
)
"""Operators that mean the same in every opset from 13 on; later ones only added types."""

_UNCHANGED_SINCE = {"HardSwish": 14, "Shape": 15}
"""Operators that mean the same from a later opset on."""


def choose_opset(opset: int | None, target_ort: str | None) -> int:
    """Return the opset to write: ``opset`` (17 if None), but nothing ``target_ort`` can't read.

    Raises:
        SpecError: the opset is outside 13 to 23, or ``target_ort`` is no version from 1.7 on.
    """
    wanted = DEFAULT_OPSET if opset is None else opset
    if not MIN_OPSET <= wanted <= MAX_OPSET:
        raise SpecError(f"--opset {wanted} is not supported: use {MIN_OPSET} to {MAX_OPSET}")
    return wanted if target_ort is None else min(wanted, newest_opset(target_ort))


def set_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Return a copy of ``model`` in ``opset``, with the lowest IR version that goes with it.

    Raises:
        ExportError: an operator can't be expressed in ``opset``.
    """
    converted = copy.deepcopy(model)
    before = opset_of(model)
    lowest = min(before, opset)
    later = {name for name, since in _UNCHANGED_SINCE.items() if lowest >= since}
    unchanged = _UNCHANGED | later if before >= MIN_OPSET else frozenset()
    try:
        if before != opset and not {node.op_type for node in model.graph.node} <= unchanged:
            converted = onnx.version_converter.convert_version(model, opset)
            restore_modules(model, converted)
        del converted.opset_import[:]
        converted.opset_import.append(onnx.helper.make_opsetid("", opset))
        converted.ir_version = onnx.helper.find_min_ir_version_for(list(converted.opset_import))
        onnx.checker.check_model(converted)
    except (RuntimeError, ValueError, onnx.checker.ValidationError) as error:
        raise ExportError(f"the graph does not fit opset {opset}: {one_line(error)}") from error
    return converted
