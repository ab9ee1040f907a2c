"""Scales at which an int8 Add gives the same bits on every CPU.

ONNX Runtime's QLinearAdd computes ``a * (sa / sc) + b * (sb / sc) + constant`` in float32, then
rounds. Some CPUs also round between product and sum (x86), others do not (ARM64's fused
multiply-add), so a value half way between two codes may go either way. A ratio with 16 significant
bits or fewer makes the products exact: nothing is rounded in between, and all CPUs agree.

Each scale changes by less than 0.2 %, upwards, so that nothing is clipped that was not before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from resnet_deploy.quantize.codes import Codes
from resnet_deploy.quantize.plan import Plan, activation_inputs

_BITS = 16
"""A u8 code has 8 bits, a float32 24."""

_TRIES = 64


def align_sums(model: ir.Model, plan: Plan, codes: Mapping[str, Codes]) -> dict[str, Codes]:
    """Return ``codes`` with the scales of addends changed as above.

    From the last Add backwards: its sum keeps its scale, the addends follow. A tensor that two Adds
    read follows the last one.
    """
    aligned = dict(codes)
    settled: set[str] = set()
    for node in reversed(list(model.graph)):
        if node not in plan.nodes or node.op_type != "Add":
            continue
        total = str(plan.tensors[plan.outputs[node]].name)
        settled.add(total)
        for value in activation_inputs(node):
            addend = str(plan.tensors[value].name)
            if addend not in settled:
                settled.add(addend)
                scale = short_multiple(aligned[addend].scale, aligned[total].scale)
                aligned[addend] = replace(aligned[addend], scale=scale)
    return aligned


def short_multiple(scale: np.float32, unit: np.float32) -> np.float32:
    """Return the next scale whose float32 quotient by ``unit`` has 16 significant bits."""
    ratio = float(scale) / float(unit)
    step = math.ldexp(1.0, math.frexp(ratio)[1] - _BITS)
    first = math.ceil(ratio / step)
    for multiple in range(first, first + _TRIES):
        candidate = np.float32(multiple * step * float(unit))
        # The product is rounded to float32, so its quotient may miss the ratio by the last bit.
        if candidate / unit == np.float32(multiple * step):
            return candidate
    return scale
