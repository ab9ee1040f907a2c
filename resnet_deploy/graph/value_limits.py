"""Between which values an operator keeps a tensor."""

from __future__ import annotations

import numpy as np
import onnx

from resnet_deploy.graph.constant_values import ConstantValues, input_of


def limits_of(node: onnx.NodeProto, constants: ConstantValues) -> tuple[float, float] | None:
    """Return the least and the largest value that the Clip or QuantizeLinear ``node`` lets pass.

    None where it has but one limit, several scales, or limits of run time.
    """
    if node.op_type == "Clip":
        low, high = (_bound(node, constants, *where) for where in ((1, "min"), (2, "max")))
        return None if low is None or high is None else (low, high)
    scale, zero = (constants.value(input_of(node, index)) for index in (1, 2))
    if scale is None or scale.size != 1 or (zero is not None and zero.size != 1):
        return None
    kind = np.dtype(np.uint8) if zero is None else zero.dtype
    if kind.kind not in "iu" or kind.itemsize > 2:
        return None
    codes, offset, step = np.iinfo(kind), 0 if zero is None else int(zero.item()), scale.item()
    return float((codes.min - offset) * step), float((codes.max - offset) * step)


def _bound(node: onnx.NodeProto, constants: ConstantValues, index: int, name: str) -> float | None:
    given = constants.value(input_of(node, index))
    if given is not None and given.size == 1:
        return float(given.item())
    return next((attribute.f for attribute in node.attribute if attribute.name == name), None)
