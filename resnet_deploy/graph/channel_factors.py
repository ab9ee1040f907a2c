"""Factors by which channels of a tensor are larger than in the file that it was made from.

Equalisation (:mod:`resnet_deploy.quantization.equalize`) multiplies channels where the layers
behind undo it. What such a channel holds is compared with the source by dividing. Factors are
whole sixteenths of an octave, ``2^(k/16)``, and stand as these ``k`` in the metadata of the node
that gives the tensor.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from resnet_deploy.arrays import Array

FACTORS_KEY = "resnet_deploy.channel_factors"
"""Metadata of a node: what the channels of its result, behind its ReLU, are multiplied by."""

STEPS_PER_OCTAVE = 16


def factors(exponents: NDArray[np.int64]) -> Array:
    """Return the factors ``(C,)``, float64, of ``exponents`` in sixteenths of an octave."""
    return np.exp2(exponents / STEPS_PER_OCTAVE)


def mark_factors(node: ir.Node, exponents: NDArray[np.int64]) -> None:
    """Say that ``node`` gives channels that are multiplied; nothing is said of factors of one."""
    if exponents.any():
        node.metadata_props[FACTORS_KEY] = " ".join(str(int(k)) for k in exponents)


def marked_factors(node: ir.Node) -> Array | None:
    """Return the factors ``(C,)`` of what ``node`` gives, or None where it has none."""
    text = node.metadata_props.get(FACTORS_KEY, "")
    try:
        exponents = np.array([int(word) for word in text.split()], np.int64)
    except (OverflowError, ValueError):  # a file's text may be anything
        return None
    return factors(exponents) if len(exponents) else None
