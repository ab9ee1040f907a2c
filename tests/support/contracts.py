"""Input contracts of small nets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from resnet_deploy.spec import ChannelOrder, InputContract, InputFormat, ResizeMode
from resnet_deploy.spec.input_words import INTERPOLATIONS

T = TypeVar("T")


def square(
    crop: int,
    resize: int | None = None,
    *,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    form: InputFormat = InputFormat.FLOAT_NCHW,
) -> InputContract:
    """Return the contract of a net with square inputs; mean and std are ImageNet's by default."""
    usual = InputContract()
    area = crop if resize is None else resize
    return InputContract(
        height=crop,
        width=crop,
        resize=(area, area),
        mean=usual.mean if mean is None else mean,
        std=usual.std if std is None else std,
        format=form,
    )


def in_grey(spec: InputContract) -> InputContract:
    """Return the same contract of a net with one channel, the first."""
    order = ChannelOrder.GREY
    return replace(spec, channel_order=order, mean=spec.mean[:1], std=spec.std[:1])


def drawn(
    random: np.random.Generator, *, largest: int = 60, form: InputFormat | None = None
) -> InputContract:
    """Return a contract of a bundle of which every field is drawn, the sides of its crop even."""
    orders = (ChannelOrder.RGB, ChannelOrder.BGR, ChannelOrder.GREY)  # bundles refuse RGBA
    order = _one_of(random, orders)
    height, width = (2 * int(random.integers(1, largest // 2)) for _ in range(2))
    rows, columns = (int(random.integers(1, 2 * largest)) for _ in range(2))
    square = random.random() < 0.3
    low, high = _one_of(random, ((0, 1), (0, 255), (-1, 1), (0.5, 3), (-117.25, 138)))
    return InputContract(
        height=height,
        width=height if square else width,
        resize=(rows, rows if square else columns),
        resize_mode=_one_of(random, tuple(ResizeMode)),
        interpolation=_one_of(random, INTERPOLATIONS),
        channel_order=order,
        range=(float(low), float(high)),
        mean=tuple(random.uniform(low, high, order.channels).tolist()),
        std=tuple(random.uniform(0.05, high - low, order.channels).tolist()),
        format=_one_of(random, tuple(InputFormat)) if form is None else form,
    )


def _one_of(random: np.random.Generator, values: Sequence[T]) -> T:
    return values[int(random.integers(len(values)))]
