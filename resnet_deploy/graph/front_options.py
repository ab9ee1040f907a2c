"""What the front of a graph tells of its input: layout, channels, range, order.

A net's values are from 0 to 1, from -1 to 1, grey levels, or these with a mean subtracted and
perhaps divided by a deviation. So of the ranges that an input can have, the arithmetic in front of
the first convolution fits one: ``(x - 0.485) / 0.229`` makes such values of 0 to 1 and of nothing
else, ``x / 127.5 - 1`` of 0 to 255. What fits none is not said.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from resnet_deploy.graph.front import Bounds, Front, Numbers, front_of
from resnet_deploy.spec import IMAGENET_MEAN, IMAGENET_STD, ChannelOrder, InputOptions, Layout
from resnet_deploy.spec.input_words import LARGEST_SIDE

_RANGES: tuple[Bounds, ...] = ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0))

_WHOLE = ((0.98, 1.02), (250.0, 260.0))
"""Spans of values that begin at zero: 0 to 1 (a division by 256 counts), 0 to 255."""

_CENTRED = (*_WHOLE, (1.96, 2.04), (2.4, 13.0))
"""Spans of values around zero: -0.5 to 0.5, -128 to 127, -1 to 1, normalised by a deviation."""

_MEANS = (0.08, 0.92)
"""Where between black and white the mean of pictures can be: MNIST's is 0.13."""

_CLOSE = 1e-4
"""Share of a range: a fortieth of a grey level, below any mean that is subtracted."""

_FITTED = 0.03
"""Share of a span by which calibration misses the least or the largest value."""

_KNOWN_MEANS = (IMAGENET_MEAN, (0.4914, 0.4822, 0.4465), (0.5071, 0.4867, 0.4408))
"""Of RGB in ImageNet, CIFAR-10 and CIFAR-100; that of Caffe's nets is ImageNet's."""

_SAME_MEAN = 0.015
"""Between two measurements of the mean of one dataset; red and blue are further apart."""


def front_options(graph: onnx.GraphProto) -> InputOptions:
    """Return what the shape of the input of ``graph`` and what follows it tell of the input.

    The size is told as well where the shape has it. A reversal of the channels alone tells no
    order: the net behind it can be of either.
    """
    return options_of(front_of(graph), _shape(graph))


def options_of(front: Front, shape: Sequence[int | None]) -> InputOptions:
    """Return what ``front`` tells of an input of ``shape``, None being dynamic."""
    rows, columns = (1, 2) if front.layout is Layout.NHWC else (2, 3)
    height, width = (shape[axis] if len(shape) == 4 else None for axis in (rows, columns))
    size = (height, width) if front.layout and height and width else None
    scale, mean, std = _values(front)
    order = ChannelOrder.GREY if front.channels == 1 else _order(front, scale)
    if mean is not None and order is ChannelOrder.BGR:
        mean, std = mean[::-1], None if std is None else std[::-1]
    return InputOptions(
        layout=front.layout,
        channel_order=order,
        range=scale,
        mean=mean,
        std=std,
        image_size=None if size is None or max(size) > LARGEST_SIDE else (size[0], size[1]),
    )


def _shape(graph: onnx.GraphProto) -> tuple[int | None, ...]:
    stored = {tensor.name for tensor in graph.initializer}
    image = next(value for value in graph.input if value.name not in stored)
    dims = image.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims)


def _values(front: Front) -> tuple[Bounds | None, Numbers | None, Numbers | None]:
    """Return range, mean and std of the input; a range alone has no mean and no std."""
    if front.scale is not None and front.offset is not None:
        if _undoes_imagenet(front.scale, front.offset):
            return (0.0, 1.0), IMAGENET_MEAN, IMAGENET_STD
        if _is_something(front.scale, front.offset):
            return _wanted_range(front.scale, front.offset), None, None
    if front.limits is not None:
        return _limited(*front.limits)
    if front.statistics is not None:
        return _remembered(*front.statistics), None, None
    return None, None, None


def _is_something(scale: Numbers, offset: Numbers) -> bool:
    """Whether a map does anything."""
    return any(factor != 1 for factor in scale) or any(offset)


def _wanted_range(scale: Numbers, offset: Numbers) -> Bounds | None:
    """Return the range of inputs of which ``scale * x + offset`` makes a net's values."""
    for bounds in _RANGES:
        if bounds[0] < 0 and not any(offset):
            continue  # 0.5 x is no more of -1 to 1 than of anything else
        if all(_fits(*channel, bounds) for channel in zip(scale, offset, strict=True)):
            return bounds
    return None


def _fits(scale: float, offset: float, bounds: Bounds) -> bool:
    low, high = bounds
    if scale == 0:
        return False
    span = abs(scale) * (high - low)
    place = (-offset / scale - low) / (high - low)  # of what becomes zero: 0 is black, 1 is white
    if min(abs(place), abs(place - 1)) <= _CLOSE:
        return any(least <= span <= most for least, most in _WHOLE)
    centred = any(least <= span <= most for least, most in _CENTRED)
    return centred and _MEANS[0] <= place <= _MEANS[1]


def _undoes_imagenet(scale: Numbers, offset: Numbers) -> bool:
    """Whether a map makes one range for all channels of pictures normalised as ImageNet's.

    torchvision's GoogLeNet and Inception begin with one: ``x * 0.229 / 0.5 + (0.485 - 0.5) / 0.5``.
    """
    if len(scale) != 3 or len(set(scale)) == 1:
        return False
    for mean, std in ((IMAGENET_MEAN, IMAGENET_STD), (IMAGENET_MEAN[::-1], IMAGENET_STD[::-1])):
        channels = list(zip(scale, offset, mean, std, strict=True))
        black = [factor * (0 - m) / s + shift for factor, shift, m, s in channels]
        white = [factor * (1 - m) / s + shift for factor, shift, m, s in channels]
        for low, high in _RANGES:
            near = 0.01 * (high - low)
            if all(abs(value - low) < near for value in black) and all(
                abs(value - high) < near for value in white
            ):
                return True
    return False


def _limited(low: float, high: float) -> tuple[Bounds | None, Numbers | None, Numbers | None]:
    """Return range, mean and std of an input whose values end at ``low`` and ``high``."""

    def ends_at(least: float, most: float) -> bool:
        near = _FITTED * (most - least)
        return abs(low - least) <= near and abs(high - most) <= near

    for bounds in _RANGES:
        if ends_at(*bounds):
            return bounds, None, None
    pairs = list(zip(IMAGENET_MEAN, IMAGENET_STD, strict=True))
    if ends_at(min(-mean / std for mean, std in pairs), max((1 - m) / s for m, s in pairs)):
        return (0.0, 1.0), IMAGENET_MEAN, IMAGENET_STD
    return None, None, None


def _remembered(mean: Numbers, std: Numbers) -> Bounds | None:
    """Return the range of pictures with such statistics; normalised ones have none."""
    for bounds, means, deviations in (
        ((0.0, 255.0), (20.0, 235.0), (12.0, 115.0)),
        ((0.0, 1.0), (0.08, 0.92), (0.05, 0.4)),
        ((-1.0, 1.0), (-0.84, 0.4), (0.4, 0.75)),
    ):
        inside = all(means[0] <= value <= means[1] for value in mean)
        if inside and all(deviations[0] <= value <= deviations[1] for value in std):
            return bounds
    return None


def _order(front: Front, scale: Bounds | None) -> ChannelOrder | None:
    """Return the order in which the means that the graph knows are those of a known dataset."""
    if scale is None or front.channels != 3:
        return None
    if front.scale is not None and front.offset is not None and any(front.offset):
        if _undoes_imagenet(front.scale, front.offset):
            reddest = front.scale[0] > front.scale[2]  # 0.229 is of red, 0.225 of blue
            return ChannelOrder.RGB if reddest else ChannelOrder.BGR
        means = [-shift / factor for factor, shift in zip(front.scale, front.offset, strict=True)]
    elif front.statistics is not None:
        means = list(front.statistics[0])
    else:
        return None
    low, high = scale
    shares = [(mean - low) / (high - low) for mean in means]
    for order, found in ((ChannelOrder.RGB, shares), (ChannelOrder.BGR, shares[::-1])):
        for known in _KNOWN_MEANS:
            if all(abs(a - b) <= _SAME_MEAN for a, b in zip(found, known, strict=True)):
                return order
    return None
