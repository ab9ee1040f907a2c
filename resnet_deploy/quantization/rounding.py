"""Rounding weights to codes so that the layer's output changes least.

Rounding each weight to its nearest code is best for the weight, not for the sum: errors of weights
whose inputs rise and fall together add up. The mean square error of the output is ``D C D^T`` for a
weight error ``D`` and input covariance ``C``. This is the objective that AdaRound (Nagel et al.,
"Up or Down?", ICML 2020) derives and then relaxes. Here it is solved one weight at a time, each
making up for the errors in front of it: GPTQ (Frantar et al., ICLR 2023), which is Babai's nearest
plane algorithm of 1986. It needs neither gradients nor PyTorch; `bench/accuracy.py` compares both.

Both ways to round keep pairs of codes within limits where these are given: a pair whose weights are
too large together is brought under its limit, most of it by the weight that matters less.

A little long: the limits and the two ways to round that keep to them are read in one piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.arrays import Array

LARGEST_CODE = 127

DAMPING = 1e-4
"""Added to the diagonal, as a share of its mean: dead inputs have no variance at all."""

_CACHED_VALUES = 1 << 17
"""Weights in float32 that stay in a core's cache with a few arrays of the same size.

With fewer, threads wait for each other between steps that are too short: with a quarter, the
weights of ResNet-34 take 6.3 s instead of 4.3 s in two threads.
"""

_BLOCK = 128
"""Columns whose errors are passed on together, so that the work is a matrix product."""


@dataclass(frozen=True, eq=False)
class PairLimits:
    """Which weights are pairs, and how large two codes of one sign may be together.

    ``first`` and ``second`` ``(P,)`` are the places of both weights of each pair among the ``K`` of
    an output channel; a weight in no pair has no limit. ``most`` is the largest sum of two codes
    that are not negative, ``least`` the smallest of two that are not positive. Codes of different
    signs are no matter.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    most: int
    least: int

    def partners(self, depth: int) -> NDArray[np.intp]:
        """Return of ``depth`` weights the place of the other one of its pair each, or -1."""
        found = np.full(depth, -1, np.intp)
        found[self.first], found[self.second] = self.second, self.first
        return found

    def exceeded(self, codes: Array) -> NDArray[np.bool_]:
        """Return which rows of ``codes`` ``(O, K)`` have a pair beyond its limit."""
        return np.asarray(self._beyond(*self._both(codes)).any(axis=1))

    def safe_scale(self, weight: Array) -> Array:
        """Return per row of ``weight`` ``(O, K)`` the scale from which on no pair is limited.

        At this scale the nearest codes of all pairs are within their limits: rounded away from zero
        both, they are one step more than the exact sum at most.
        """
        found = np.empty(len(weight))
        for part in _cached_rows(*weight.shape):
            first, second = self._both(weight[part])
            up = np.maximum(first, 0) + np.maximum(second, 0)
            down = np.minimum(first, 0) + np.minimum(second, 0)
            up /= self.most - 1
            down /= self.least + 1
            found[part] = np.maximum(up, down, out=up).max(axis=1, initial=0.0)
        return found

    def of_both_ends(self, depth: int) -> PairLimits:
        """Return limits for ``depth`` weights in ascending order: of the two at either end.

        Within them, any two weights are, and with any zero point that a layout may choose.
        """
        ends = np.array([0, depth - 2] if depth > 1 else [], np.intp)
        return replace(self, first=ends, second=ends + 1, least=2 - self.most)

    def in_front(self, depth: int) -> tuple[NDArray[np.intp], PairLimits]:
        """Return an order of ``depth`` weights in which pairs come first, and the limits in it.

        The first weights of all pairs come before the second ones: both are looked at as they lie.
        """
        pairs = np.concatenate([self.first, self.second])
        order = np.concatenate([pairs, np.setdiff1d(np.arange(depth), pairs)]).astype(np.intp)
        place = np.arange(len(self.first))
        return order, replace(self, first=place, second=place + len(place))

    def nearest(self, steps: Array, importance: Array | None = None) -> Array:
        """Return the codes within the limits nearest to ``steps`` ``(O, K)``.

        ``importance`` ``(K,)`` weighs the square errors of the two weights of a pair.
        """
        codes = np.ascontiguousarray(nearest_codes(steps))
        beyond = self._beyond(*self._both(codes))
        found = np.flatnonzero(beyond)  # several times as fast as over two dimensions
        if not len(found):
            return codes
        row, pair = np.divmod(found, beyond.shape[1])
        # By one number each, which is faster than by row and column.
        row *= codes.shape[1]
        one, other = self.first[pair], self.second[pair]
        weights: tuple[Array | float, Array | float] = (1.0, 1.0)
        if importance is not None:
            weights = importance[one], importance[other]
        one += row
        other += row
        flat, exact = codes.reshape(-1), steps.reshape(-1)
        wanted = np.rint(self.given_way(exact[one], exact[other], weights))
        positive = flat[one] + flat[other] > 0
        # Both on their side of zero, and within +-127.
        wanted = np.where(
            positive,
            np.clip(wanted, self.most - LARGEST_CODE, LARGEST_CODE),
            np.clip(wanted, -LARGEST_CODE, min(0, self.least + LARGEST_CODE)),
        )
        flat[one] = wanted
        flat[other] = np.where(positive, self.most, self.least) - wanted
        return codes

    def given_way(
        self, first: Array, second: Array, importance: tuple[Array | float, Array | float]
    ) -> Array:
        """Return what is left of ``first`` when both weights of pairs give way to their limit.

        They do in the reverse ratio of the ``importance`` of their square errors. Pairs within
        their limit keep what they have.
        """
        total = np.asarray(importance[0], np.float64) + importance[1]
        share = np.divide(importance[1], total, out=np.full_like(total, 0.5), where=total > 0)
        both = first + second
        over = np.where((first > 0) & (second > 0), np.maximum(both - self.most, 0), 0)
        under = np.where((first < 0) & (second < 0), np.minimum(both - self.least, 0), 0)
        return np.asarray(first - share * (over + under))

    def room(self, other: Array) -> tuple[Array, Array]:
        """Return the least and the largest code beside ``other``, codes of the other weights."""
        low = np.where(other <= 0, np.maximum(self.least - other, -LARGEST_CODE), -LARGEST_CODE)
        high = np.where(other >= 0, np.minimum(self.most - other, LARGEST_CODE), LARGEST_CODE)
        return low, high

    def _both(self, values: Array) -> tuple[Array, Array]:
        """Return the first and the second ones of all pairs in the rows of ``values`` ``(O, K)``.

        Where they are evenly spaced, nothing is copied.
        """
        first, second = self._places
        return values[:, first], values[:, second]

    @cached_property
    def _places(self) -> tuple[slice | NDArray[np.intp], slice | NDArray[np.intp]]:
        return _evenly(self.first), _evenly(self.second)

    def _beyond(self, first: Array, second: Array) -> NDArray[np.bool_]:
        # As :meth:`room` says, of codes that are within +-127 both: in a third of the time.
        both = first + second
        over, under = both > self.most, both < self.least
        if self.most < LARGEST_CODE - 1 or self.least > 1 - LARGEST_CODE:
            # Else no two codes of different signs are as large together.
            over &= first >= 0
            under &= first <= 0
        return np.asarray(np.logical_or(over, under, out=over))


def _evenly(places: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    """Return ``places`` as a slice where they are evenly spaced, in ascending order."""
    steps = np.diff(places)
    if len(steps) == 0 or steps[0] < 1 or (steps != steps[0]).any():
        return places
    return slice(int(places[0]), int(places[-1]) + 1, int(steps[0]))


def _cached_rows(count: int, depth: int) -> Iterator[slice]:
    """Yield parts of ``count`` rows of ``depth`` weights that stay in a core's cache.

    What is computed of them one after the other is then several times as fast.
    """
    rows = max(1, _CACHED_VALUES // max(1, depth))
    for start in range(0, count, rows):
        yield slice(start, start + rows)


class Rounder(Protocol):
    """From weights ``(O, K)`` in steps of their scale to codes, and the error that this makes."""

    @property
    def alone(self) -> Nearest:
        """What rounds each weight alone, by the same importance."""

    def codes(self, steps: Array, limits: PairLimits | None = None) -> Array:
        """Return the codes, within ``limits``."""

    def error(self, steps: Array, codes: Array) -> Array:
        """Return the mean square error of the output ``(O,)``, in square steps."""


def usable(scale: Array) -> NDArray[np.float32]:
    """Return scales that can be divided by: 1 for a channel of nothing but zeros."""
    return np.where(scale > 1e-30, scale, 1.0).astype(np.float32)


def nearest_codes(steps: Array) -> Array:
    """Return the nearest codes to the weights ``(O, K)``, given in steps of their scale."""
    codes = np.rint(steps)
    return np.asarray(np.clip(codes, -LARGEST_CODE, LARGEST_CODE, out=codes))


class Nearest:
    """Rounds each weight alone; ``importance`` ``(K,)`` weighs the square errors of the weights."""

    def __init__(self, importance: Array) -> None:
        self._importance = importance

    @property
    def alone(self) -> Nearest:
        """Itself."""
        return self

    def errors(self, weight: Array, scales: Array, limits: PairLimits) -> Array:
        """Return the error ``(tries, O)`` of ``weight`` ``(O, K)`` at each of ``scales``.

        ``scales`` are ``(tries, O)``; errors are in squares of the weights' unit.
        """
        order, limits = limits.in_front(weight.shape[1])
        weight = weight[:, order].astype(np.float32)
        importance = self._importance[order].astype(np.float32)
        found = np.empty(scales.shape)
        for rows in _cached_rows(*weight.shape):
            part = weight[rows]
            steps = np.empty_like(part)
            for errors, scale in zip(found, scales, strict=True):
                step = scale[rows].astype(np.float32)
                np.divide(part, step[:, None], out=steps)
                off = limits.nearest(steps, importance)
                off -= steps
                np.square(off, out=off)
                errors[rows] = off @ importance * step**2
        return found

    def codes(self, steps: Array, limits: PairLimits | None = None) -> Array:
        """Return the nearest codes to ``steps`` ``(O, K)``, within ``limits``."""
        if limits is None:
            return nearest_codes(steps)
        return limits.nearest(steps, self._importance)

    def error(self, steps: Array, codes: Array) -> Array:
        """Return the mean square error of the output ``(O,)``, in square steps."""
        return np.asarray((codes - steps) ** 2 @ self._importance)


class Compensation:
    """Rounds the weights of one layer (or group) together.

    With ``C = R R^T`` and ``R`` upper triangular, the objective is the squared length of ``D R``,
    whose column ``k`` knows the errors of the weights up to ``k`` only. So each weight in turn
    takes the code that makes its column smallest, given the codes in front of it. The first weight
    of a pair leaves the other one its part of their limit, as the two columns weigh them.

    ``covariance`` is that of the inputs, ``(K, K)`` float64.
    """

    def __init__(self, covariance: Array) -> None:
        variance = np.diagonal(covariance)
        self._variance = variance.copy()
        # The inputs that vary most come first, while everything can still make up for them.
        self._order = np.argsort(-variance, kind="stable")
        self._factor = _factor(covariance[np.ix_(self._order, self._order)])

    @property
    def alone(self) -> Nearest:
        """What rounds each weight alone, by the variance of its input."""
        return Nearest(self._variance)

    def codes(self, steps: Array, limits: PairLimits | None = None) -> Array:
        """Return the codes of the weights ``(O, K)``, given in steps of their channel's scale."""
        factor = self._factor
        if factor is None:
            return nearest_codes(steps) if limits is None else limits.nearest(steps)
        partners = None if limits is None else self._partners(limits)
        # Weights by row here: what is done weight by weight then reads memory in order.
        exact = np.ascontiguousarray(steps[:, self._order].T, np.float32)
        codes, errors = np.empty_like(exact), np.empty_like(exact)
        for start in range(0, len(factor), _BLOCK):
            stop = min(start + _BLOCK, len(factor))
            # What the errors so far add to the columns of this block.
            carried = np.ascontiguousarray((errors[:start].T @ factor[:start, start:stop]).T)
            for k in range(start, stop):
                wanted = exact[k] - carried[k - start] / factor[k, k]
                if limits is not None and partners is not None and (other := partners[k]) >= 0:
                    if other < k:
                        wanted = np.clip(np.rint(wanted), *limits.room(codes[other]))
                    else:
                        weights = factor[k, k] ** 2, factor[other, other] ** 2
                        wanted = limits.given_way(wanted, exact[other], weights)
                codes[k] = nearest_codes(wanted)
                errors[k] = codes[k] - exact[k]
                carried[k + 1 - start :] += factor[k, k + 1 : stop, None] * errors[k]
        result = np.empty(steps.shape, np.float32)
        result[:, self._order] = codes.T
        return result

    def error(self, steps: Array, codes: Array) -> Array:
        """Return the mean square error of the output ``(O,)``, in square steps."""
        if self._factor is None:
            return np.zeros(len(steps))
        errors = (codes - steps)[:, self._order].astype(np.float32)
        return np.asarray(np.square(errors @ self._factor).sum(axis=1))

    def _partners(self, limits: PairLimits) -> NDArray[np.intp]:
        """Return the place of the other weight of each pair in this order, or -1."""
        place = np.empty_like(self._order)
        place[self._order] = np.arange(len(place))
        partners = limits.partners(len(place))[self._order]
        return np.where(partners >= 0, place[partners], -1)


def _factor(covariance: Array) -> NDArray[np.float32] | None:
    """Return upper triangular ``R``, ``R R^T`` = ``covariance``, damped; None if that is zero."""
    damping = DAMPING * float(np.diagonal(covariance).mean())
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
