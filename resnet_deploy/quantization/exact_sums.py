"""Scales at which an int8 Add gives the same bits on every CPU.

ONNX Runtime's QLinearAdd computes ``(a - za) sa / sc + (b - zb) sb / sc + zc`` and rounds: x86 in
float32, halves to even; ARM64 in fixed point with 22 bits, halves upwards. Values close to a half
may go either way. So the ratios ``sa / sc`` and ``sb / sc`` are made multiples of a power of two
that both kinds of arithmetic hold exactly, and chosen so that no pair of codes gives a half.

Each scale changes by 1 % at most, upwards, so that nothing is clipped that was not before.
Source: onnxruntime/core/mlas/lib/qladd.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from resnet_deploy.quantization.plan import Plan, activation_inputs
from resnet_deploy.quantization.ranges import QuantizationParameters

_FRACTION = 15
"""Bits behind the point, of ratios below 2. With 9 bits in front of it (all partial sums of two
codes) and 15 behind, float32 is exact."""

_WIDEST = 1.01


def align_sums(
    model: ir.Model, plan: Plan, parameters: Mapping[str, QuantizationParameters]
) -> dict[str, QuantizationParameters]:
    """Return ``parameters`` with the scales of addends changed as above.

    From the last Add backwards: its sum keeps its scale, the addends follow. Left alone is an Add
    that reads a tensor whose scale another one has settled.
    """
    aligned = dict(parameters)
    settled: set[str] = set()
    for node in reversed(list(model.graph)):
        if node not in plan.nodes or node.op_type != "Add":
            continue
        total = str(plan.tensors[plan.outputs[node]].name)
        first, second = (str(plan.tensors[value].name) for value in activation_inputs(node))
        free = len({first, second, total}) == 3 and settled.isdisjoint((first, second))
        settled.update((first, second, total))
        pair = exact_pair(aligned[first], aligned[second], aligned[total]) if free else None
        if pair is not None:
            aligned[first], aligned[second] = pair
    return aligned


def exact_pair(
    first: QuantizationParameters, second: QuantizationParameters, total: QuantizationParameters
) -> tuple[QuantizationParameters, QuantizationParameters] | None:
    """Return both addends with scales that no CPU rounds differently, or None: there are none."""
    largest = max(first.scale, second.scale) * _WIDEST / total.scale
    bits = _FRACTION - max(0, math.frexp(float(largest))[1] - 1)
    for k_first, scale_first in _candidates(first.scale, total.scale, bits):
        for k_second, scale_second in _candidates(second.scale, total.scale, bits):
            if not has_half((k_first, k_second), bits, (first, second), total):
                return replace(first, scale=scale_first), replace(second, scale=scale_second)
    return None


def _candidates(scale: np.float32, unit: np.float32, bits: int) -> Iterator[tuple[int, np.float32]]:
    """Yield ``k`` and the float32 scale whose quotient by ``unit`` is exactly ``k / 2^bits``."""
    start = math.ceil(float(scale) / float(unit) * 2**bits)
    stop = float(scale) * _WIDEST / float(unit) * 2**bits
    for k in range(start, math.floor(stop) + 1):
        candidate = np.float32(math.ldexp(k, -bits) * float(unit))
        # The product is rounded to float32, so its quotient may miss by the last bit.
        if candidate / unit == np.float32(math.ldexp(k, -bits)):
            yield k, candidate


def has_half(
    multiples: tuple[int, int],
    bits: int,
    addends: tuple[QuantizationParameters, QuantizationParameters],
    total: QuantizationParameters,
) -> bool:
    """Return whether two codes have a sum half way between two codes of ``total``."""
    a, b = (
        (np.arange(256) - int(addend.zero_point)) * k
        for k, addend in zip(multiples, addends, strict=True)
    )
    sums = a[:, None] + b + (int(total.zero_point) << bits)
    halves = sums & ((1 << bits) - 1) == 1 << (bits - 1)
    inside = (sums >= 0) & (sums < 255 << bits)
    return bool((halves & inside).any())
