"""Codes that limits on pairs hold back, improved: one moves, or one goes up and another down.

The nearest plane (:class:`~resnet_deploy.quantization.rounding.Compensation`) takes each weight
once. A pair that has to give way then leaves an error that the weights behind it, whose own pairs
are at their limits as well, can't make up for, and the scale gets larger instead. Moving weights
for as long as the error falls makes up for it, and smaller scales pay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.arrays import Array
from resnet_deploy.quantization.rounding import DAMPING, LARGEST_CODE, Compensation, PairLimits

_SWEEPS = 4
"""Over all weights of a layer; few of them move in the last one."""

_NEAR = 4
"""Other weights with each of which a weight is moved: those whose inputs are most like its own."""


class Exchange(Compensation):
    """Rounds the weights of one layer (or group) together, and improves codes within limits.

    ``covariance`` is that of the inputs, ``(K, K)`` float64.
    """

    def __init__(self, covariance: Array) -> None:
        super().__init__(covariance)
        damping = DAMPING * float(np.diagonal(covariance).mean())
        self._covariance = (covariance + damping * np.eye(len(covariance))).astype(np.float32)
        deviation = np.sqrt(np.maximum(np.diagonal(self._covariance), np.finfo(np.float32).tiny))
        alike = self._covariance / deviation / deviation[:, None]
        np.fill_diagonal(alike, -np.inf)
        self._near = np.argsort(-alike, axis=1, kind="stable")[:, :_NEAR]

    def codes(self, steps: Array, limits: PairLimits | None = None) -> Array:
        """Return the codes of the weights ``(O, K)``, given in steps of their channel's scale."""
        codes = super().codes(steps, limits)
        if limits is not None and self._covariance.any():
            self._improve(steps, codes, limits)
        return codes

    def _improve(self, steps: Array, codes: Array, limits: PairLimits) -> None:
        partners = limits.partners(codes.shape[1])
        slope = (codes - steps.astype(np.float32)) @ self._covariance
        variance = np.diagonal(self._covariance)
        for _ in range(_SWEEPS):
            before = codes.copy()
            for k in self._order:
                wanted = np.rint(codes[:, k] - slope[:, k] / variance[k])
                moved = np.clip(wanted, *self._room(codes, k, partners, limits)) - codes[:, k]
                self._move(codes, slope, np.flatnonzero(moved), moved, k)
            for k in self._order:
                near = self._near[k]
                if partners[k] >= 0 and partners[k] not in near:
                    near = np.append(near, partners[k])
                for other in near:
                    self._swap(codes, slope, int(k), int(other), partners, limits)
            if np.array_equal(before, codes):
                break

    def _room(
        self, codes: Array, k: int, partners: NDArray[np.intp], limits: PairLimits
    ) -> tuple[Array | int, Array | int]:
        if partners[k] < 0:
            return -LARGEST_CODE, LARGEST_CODE
        return limits.room(codes[:, partners[k]])

    def _swap(
        self,
        codes: Array,
        slope: Array,
        one: int,
        other: int,
        partners: NDArray[np.intp],
        limits: PairLimits,
    ) -> None:
        """Move ``one`` and ``other`` by as much in opposite directions where that is better."""
        c = self._covariance
        curvature = c[one, one] + c[other, other] - 2 * c[one, other]
        if curvature <= 0:
            return
        moved = np.rint((slope[:, other] - slope[:, one]) / curvature)
        rows = np.flatnonzero(moved)
        if not len(rows):
            return
        after = codes[rows]
        after[:, one] += moved[rows]
        after[:, other] -= moved[rows]
        allowed = np.ones(len(rows), bool)
        for k in (one, other):
            low, high = self._room(after, k, partners, limits)
            allowed &= (low <= after[:, k]) & (after[:, k] <= high)
        rows = rows[allowed]
        self._move(codes, slope, rows, moved, one)
        self._move(codes, slope, rows, -moved, other)

    def _move(self, codes: Array, slope: Array, rows: NDArray[np.intp], by: Array, k: int) -> None:
        codes[rows, k] += by[rows]
        slope[rows] += by[rows, None] * self._covariance[k]
