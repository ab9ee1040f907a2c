"""Which operator set and IR version a file asks for, and which ONNX Runtime can read it."""

from __future__ import annotations

import copy
import re

import onnx

from resnet_deploy.canonical.outputs import domains_of
from resnet_deploy.canonical.raising import reason_to_stay
from resnet_deploy.errors import ExportError, SpecError, one_line
from resnet_deploy.graph.module_names import restore_modules
from resnet_deploy.graph.releases import newest_opset, opset_of
from resnet_deploy.graph.skeleton import check_model

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


_EQUAL_SPLIT = 18
"""From here on a Split says how many equal parts it makes; before, its outputs alone do."""

_ASIDE = "resnet_deploy.aside"


def choose_opset(opset: int | None, target_ort: str | None) -> int:
    """Return the opset to write: ``opset`` (17 if None), but nothing ``target_ort`` can't read.

    Raises:
        SpecError: the opset is outside 13 to 23, or ``target_ort`` is not a version from 1.7 on.
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
    if before < MIN_OPSET:
        reason = reason_to_stay(model) or "it was not raised"
        raise ExportError(f"the graph is in opset {before} and can't be in {opset}: {reason}")
    lowest = min(before, opset)
    unchanged = _UNCHANGED | {n for n, since in _UNCHANGED_SINCE.items() if lowest >= since}
    try:
        if before != opset and not {node.op_type for node in model.graph.node} <= unchanged:
            splits = before >= _EQUAL_SPLIT > opset >= MIN_OPSET
            source = _splits_aside(model) if splits else model
            converted = onnx.version_converter.convert_version(source, opset)
            restore_modules(model, converted)
            for node in converted.graph.node:
                if node.domain == _ASIDE:
                    node.domain = ""
        own = onnx.helper.make_opsetid("", opset)
        used = set(domains_of(model.graph)) - {"", "ai.onnx"}
        others = [entry for entry in model.opset_import if entry.domain in used]
        converted.ir_version = onnx.helper.find_min_ir_version_for([own, *others], True)
        del converted.opset_import[:]
        converted.opset_import.extend((own, *others))
        check_model(converted)
    except (RuntimeError, ValueError, onnx.checker.ValidationError) as error:
        raise ExportError(
            f"the graph is in opset {before}, and {_culprit(error)} can't be put into opset {opset}"
        ) from error
    return converted


def _culprit(error: Exception) -> str:
    """Return the operator that onnx's converter or checker gave up on, as far as it says."""
    text = one_line(error)
    found = re.search(
        r"\bfor (\w+)$|operator (\w+)|op_type: ?(\w+)|No Op registered for (\w+)", text
    )
    return (
        next((name for name in found.groups() if name), "an operator") if found else "an operator"
    )


def _splits_aside(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy with every Split as opset 13 has it, in a domain that no converter looks at.

    ONNX's converter knows no way back from opset 18.

    Raises:
        ExportError: parts are of different sizes that no shape tells.
    """
    result = copy.deepcopy(model)
    values = (*result.graph.value_info, *result.graph.output)
    shapes = {value.name: value.type.tensor_type.shape for value in values}
    for node in result.graph.node:
        if node.op_type != "Split" or node.domain:
            continue
        node.domain = _ASIDE
        if len(node.input) > 1 and node.input[1]:
            continue
        axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
        parts = [shapes[name].dim[axis].dim_value for name in node.output if name in shapes]
        if len(parts) != len(node.output) or len(set(parts)) != 1 or not parts[0]:
            raise ExportError(
                f"the parts of {node.name} are of different or unknown sizes, which opset 17 can't "
                "say"
            )
        kept = [attribute for attribute in node.attribute if attribute.name != "num_outputs"]
        del node.attribute[:]
        node.attribute.extend(kept)
    result.opset_import.append(onnx.helper.make_opsetid(_ASIDE, 1))
    return result
