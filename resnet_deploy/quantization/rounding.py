"""Rounding weights to codes so that the layer's output changes least.

Rounding each weight to its nearest code is best for the weight, not for the sum: errors of weights
whose inputs rise and fall together add up. The mean square error of the output is ``D C D^T`` for a
weight error ``D`` and input covariance ``C``. This is the objective that AdaRound (Nagel et al.,
"Up or Down?", ICML 2020) derives and then relaxes. Here it is solved one weight at a time, each
making up for the errors in front of it: GPTQ (Frantar et al., ICLR 2023), which is Babai's nearest
plane algorithm of 1986. It needs neither gradients nor PyTorch; `bench/accuracy.py` compares both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.arrays import Array

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

    With ``C = R R^T`` and ``R`` upper triangular, the objective is the squared length of ``D R``,
    whose column ``k`` knows the errors of the weights up to ``k`` only. So each weight in turn
    takes the code that makes its column smallest, given the codes in front of it.

    ``covariance`` is that of the inputs, ``(K, K)`` float64.
    """

    def __init__(self, covariance: Array) -> None:
        variance = np.diagonal(covariance)
        # The inputs that vary most come first, while everything can still make up for them.
        self._order = np.argsort(-variance, kind="stable")
        self._factor = _factor(covariance[np.ix_(self._order, self._order)])

    def codes(self, steps: Array) -> Array:
        """Return the codes of the weights ``(O, K)``, given in steps of their channel's scale."""
        factor = self._factor
        if factor is None:
            return nearest_codes(steps)
        exact = steps[:, self._order].astype(np.float32)
        codes, errors = np.empty_like(exact), np.empty_like(exact)
        for start in range(0, len(factor), _BLOCK):
            stop = min(start + _BLOCK, len(factor))
            # What the errors so far add to the columns of this block.
            carried = errors[:, :start] @ factor[:start, start:stop]
            for k in range(start, stop):
                owed = carried[:, k - start] / factor[k, k]
                codes[:, k] = nearest_codes(exact[:, k] - owed)
                errors[:, k] = codes[:, k] - exact[:, k]
                carried += errors[:, k, None] * factor[k, start:stop]
        result = np.empty_like(codes)
        result[:, self._order] = codes
        return result


def _factor(covariance: Array) -> NDArray[np.float32] | None:
    """Return upper triangular ``R``, ``R R^T`` = ``covariance``, damped; None if that is zero."""
    damping = _DAMPING * float(np.diagonal(covariance).mean())
    if damping <= 0:  # inputs that never vary are the bias's affair
        return None
    reversed_ = covariance[::-1, ::-1].copy()
    while True:
        reversed_.flat[:: len(reversed_) + 1] += damping
        try:
            lower = np.linalg.cholesky(reversed_)
        except np.linalg.LinAlgError:  # fewer rows than weights, and rounding
            damping *= 10
            continue
        return np.ascontiguousarray(lower[::-1, ::-1], np.float32)
