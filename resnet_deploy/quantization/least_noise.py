"""The factors of channels at which rounding makes least noise.

What is minimised is the predicted noise,

    sum over tensors of (range / 255)^2 / 12 * sum over channels of importance_c / f_c^2
    range = max over channels of f_c high_c, plus the same of low_c where there are negative values

and that of the weights behind them, whose steps grow where a factor is small. In the logarithms of
the factors this is a sum of exponentials of maxima of sums: it is convex, so there is one minimum,
and plain gradient steps get there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.graph.channel_factors import STEPS_PER_OCTAVE
from resnet_deploy.quantization.rescale import Exponents
from resnet_deploy.quantization.rounding import LARGEST_CODE
from resnet_deploy.quantization.scale_groups import Groups, ScaleGroups

_LARGEST_OCTAVES = 2.0
"""Factors are within 1/4 and 4."""

_STEPS = 300
_FIRST_STEP, _LAST_STEP = 0.1, 0.002
"""Octaves by which a factor changes at once."""

_STEPS_BETWEEN_PEAKS = 10

_MEMORIES = 0.9, 0.99
"""Of Adam: of the gradient, and of its square."""

_CODES = 255


@dataclass(frozen=True)
class RoundedTensor:
    """A tensor with a u8 scale: the groups of its channels, and how far these reach; ``(C,)``.

    ``low`` is how far below zero. ``importance`` is the weight of a channel's error.
    """

    groups: Groups
    high: Array
    low: Array
    importance: Array

    @property
    def step(self) -> float:
        """The step between two codes, with all factors 1."""
        return float(self.high.max(initial=0.0) + self.low.max(initial=0.0)) / _CODES

    @property
    def noise(self) -> float:
        """What rounding to these steps is predicted to do: the square error of all channels."""
        return self.step**2 / 12 * float(self.importance.sum())


@dataclass(frozen=True)
class RoundedWeights:
    """The weights that read a tensor: the groups of its channels by group of the convolution.

    ``groups`` and ``power``, the mean square of what is read, are ``(g, I)``; ``largest`` are the
    weights of largest magnitude over the taps, ``(g, O, I)``; ``taps`` is how many they are.
    """

    groups: Groups
    power: Array
    largest: Array
    taps: int


def best_exponents(
    groups: ScaleGroups, tensors: Sequence[RoundedTensor], readers: Sequence[RoundedWeights]
) -> Exponents:
    """Return the exponents ``(G,)`` of least predicted noise, in steps of ``channel_factors``.

    By Adam (Kingma and Ba, arXiv:1412.6980), with steps that get smaller.
    """
    octaves = np.zeros(len(groups.free))
    mean, square = np.zeros_like(octaves), np.zeros_like(octaves)
    peaks: list[Groups] = []
    for step in range(_STEPS):
        if step % _STEPS_BETWEEN_PEAKS == 0:
            peaks = largest_weights(octaves, readers)
        _, slope = predicted_noise(octaves, tensors, readers, peaks)
        slope[~groups.free] = 0
        mean += (1 - _MEMORIES[0]) * (slope - mean)
        square += (1 - _MEMORIES[1]) * (slope**2 - square)
        m, s = (x / (1 - b ** (step + 1)) for x, b in zip((mean, square), _MEMORIES, strict=True))
        size = _FIRST_STEP * (_LAST_STEP / _FIRST_STEP) ** (step / _STEPS)
        octaves -= size * m / (np.sqrt(s) + 1e-12 * np.abs(slope).max())
        np.clip(octaves, -_LARGEST_OCTAVES, _LARGEST_OCTAVES, out=octaves)
    return np.rint(octaves * STEPS_PER_OCTAVE).astype(np.int64)


def largest_weights(octaves: Array, readers: Sequence[RoundedWeights]) -> list[Groups]:
    """Return by reader which input sets the step of each output, ``(g, O)``."""
    f = np.exp2(octaves)
    return [(reader.largest / f[reader.groups][:, None, :]).argmax(axis=2) for reader in readers]


def predicted_noise(
    octaves: Array,
    tensors: Sequence[RoundedTensor],
    readers: Sequence[RoundedWeights],
    peaks: Sequence[Groups],
) -> tuple[float, Array]:
    """Return the noise at factors ``2^octaves``, ``(G,)``, and its slope by the octaves.

    Of an activation: ``step^2 / 12`` over ``f^2``. Of a weight: the same, times the power of what
    it is multiplied with; each as it counts in the source's units. ``peaks`` are those of
    :func:`largest_weights`, here or nearby: they take nearly all the time, and hardly change.
    """
    f = np.exp2(octaves)
    total, slope = 0.0, np.zeros_like(octaves)
    for tensor in tensors:
        own = f[tensor.groups]
        high, low = own * tensor.high, own * tensor.low
        top, bottom = int(high.argmax()), int(low.argmax())
        reach = high[top] + low[bottom]
        shares = tensor.importance / own**2
        unit = 1 / (_CODES**2 * 12)
        total += unit * reach**2 * shares.sum()
        np.add.at(slope, tensor.groups, -2 * unit * reach**2 * shares)
        slope[tensor.groups[top]] += 2 * unit * reach * shares.sum() * high[top]
        slope[tensor.groups[bottom]] += 2 * unit * reach * shares.sum() * low[bottom]
    unit = 1 / (LARGEST_CODE**2 * 12)
    for reader, peak in zip(readers, peaks, strict=True):
        where = np.take_along_axis(reader.groups, peak, axis=1)
        largest = np.take_along_axis(reader.largest, peak[:, :, None], axis=2)[:, :, 0]
        steps = np.square(largest / f[where])
        powers = reader.power * f[reader.groups] ** 2 * reader.taps
        sums = powers.sum(axis=1, keepdims=True)
        total += unit * float((steps * sums).sum())
        np.add.at(slope, reader.groups, 2 * unit * steps.sum(axis=1, keepdims=True) * powers)
        np.add.at(slope, where, -2 * unit * steps * sums)
    return total, slope * np.log(2)
