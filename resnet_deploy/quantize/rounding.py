"""Rounding weights to codes so that the layer's output changes least.

Rounding each weight to its nearest code is best for the weight, not for the sum: errors of weights
whose inputs rise and fall together add up. The mean square error of the output is ``D C D^T`` for a
weight error ``D`` and input covariance ``C``. This is the objective that AdaRound (Nagel et al.,
"Up or Down?", ICML 2020) derives and then relaxes. Here it is solved one column at a time, each
column's error being compensated by the columns that are still free: optimal brain quantization with
a fixed order (Frantar et al., "GPTQ", ICLR 2023, algorithm 1).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LARGEST_CODE = 127

_DAMPING = 1e-4
"""Added to the diagonal, as a share of its mean: dead inputs have no variance at all."""

_BLOCK = 128
"""Columns whose errors are passed on together, so that the work is a matrix product."""


def nearest_codes(steps: Array) -> Array:
    """Return the nearest codes to the weights ``(O, K)``, given in steps of their scale."""
    return np.clip(np.rint(steps), -LARGEST_CODE, LARGEST_CODE)


class Compensation:
    """Rounds the weights of one layer (or group) together.

    Args:
        covariance: of the inputs, ``(K, K)`` float64.
    """

    def __init__(self, covariance: Array) -> None:
        variance = np.diagonal(covariance)
        damping = _DAMPING * float(variance.mean())
        # An input that never varies is the bias's affair.
        self._alike = damping <= 0
        if self._alike:
            return
        # The inputs that vary most come first, while everything can still make up for them.
        self._order = np.argsort(-variance, kind="stable")
        ordered = covariance[np.ix_(self._order, self._order)]
        inverse = np.linalg.inv(ordered + damping * np.eye(len(ordered)))
        # Row k of U holds how the columns behind k make up for an error in k.
        self._upper = np.linalg.cholesky((inverse + inverse.T) / 2).T.astype(np.float32)

    def codes(self, steps: Array) -> Array:
        """Return the codes of the weights ``(O, K)``, given in steps of their channel's scale."""
        if self._alike:
            return nearest_codes(steps)
        upper, depth = self._upper, len(self._upper)
        free = np.array(steps[:, self._order], np.float32)
        codes = np.empty_like(free)
        for start in range(0, depth, _BLOCK):
            stop = min(start + _BLOCK, depth)
            block, errors = free[:, start:stop], np.empty((len(free), stop - start), np.float32)
            for k in range(stop - start):
                codes[:, start + k] = nearest_codes(block[:, k])
                row = upper[start + k, start + k : stop]
                errors[:, k] = (block[:, k] - codes[:, start + k]) / row[0]
                block[:, k:] -= errors[:, k, None] * row
            free[:, stop:] -= errors @ upper[start:stop, stop:]
        result = np.empty_like(codes)
        result[:, self._order] = codes
        return result
