"""The input contract: all that a picture goes through before the first convolution.

Every field carries where it was learned. What nothing tells is *assumed*, and said to be.

A little long: the contract is one class, with what follows from its fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from resnet_deploy.errors import SpecError
from resnet_deploy.spec.input_words import (
    BLOCK,
    INTERPOLATIONS,
    LARGEST_CHANNELS,
    LARGEST_LEVEL,
    LARGEST_SIDE,
    LEAST_STD,
    ChannelOrder,
    InputFormat,
    Learned,
    Numbers,
    Pair,
    ResizeMode,
    bytes_per_unit,
    check_range,
    listed,
)

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
GREY_MEAN, GREY_STD = (0.449,), (0.226,)
"""ImageNet's, averaged over the channels."""
_USUAL_VALUES = {
    ChannelOrder.GREY: (GREY_MEAN, GREY_STD),
    # Opacity is no colour: it stays from 0 to 1.
    ChannelOrder.RGBA: ((*IMAGENET_MEAN, 0.0), (*IMAGENET_STD, 1.0)),
}


def usual_values(order: ChannelOrder, channels: int = 3) -> tuple[Numbers, Numbers]:
    """Return the mean and std, on 0 to 1, that pictures of this order usually get.

    There is nothing usual about ``bands``, of which there are ``channels``.
    """
    if order is ChannelOrder.BANDS:
        return (0.0,) * channels, (1.0,) * channels
    mean, std = _USUAL_VALUES.get(order, (IMAGENET_MEAN, IMAGENET_STD))
    return (mean[::-1], std[::-1]) if order is ChannelOrder.BGR else (mean, std)


CENTER_CROP_RATIO = 0.875
"""Crop over resize of ImageNet evaluation: 224 of 256."""


FIELDS = (
    *("layout", "size", "channel_order", "range", "mean", "std"),
    *("resize", "resize_mode", "interpolation"),
)
"""The keys of :attr:`InputContract.learned`, by the options that say them."""


def options_of(names: Iterable[str]) -> str:
    """Return the options that say the fields ``names``."""
    flags = ("image-size" if name == "size" else name.replace("_", "-") for name in names)
    return ", ".join(f"--{flag}" for flag in flags)


def _pair(pair: Pair) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"


@dataclass(frozen=True, kw_only=True)
class InputContract:
    """From a picture to the input tensor.

    The picture, RGB, RGBA or grey in uint8, is resized (antialiased) and its centre cropped. With
    ``p`` a grey level of 0 to 255, an input of floats is ``(r - mean) / std`` per channel, where
    ``r`` is ``p`` scaled to ``range``. A ``format`` of bytes ends after the crop: the graph does
    the rest.
    With ``resize_in_graph`` it resizes and crops as well, and the input is the picture as it is.

    Args:
        height: of the crop, in pixels.
        width: of the crop, in pixels.
        resize: height and width of the area that the picture is resized to, before the crop.
        resize_mode: whether it covers this area, fills it or fits into it.
        interpolation: one of Pillow's filters: nearest, box, bilinear, bicubic or lanczos.
        channel_order: of the input.
        range: what black and white are before ``mean`` is subtracted.
        mean: one number a channel, in the input's channel order and range.
        std: likewise.
        format: layout and dtype.
        resize_in_graph: whether the graph resizes.
        learned: where each of :data:`FIELDS` was learned. What is missing is so by definition: of
            a net that was never trained nothing can be assumed wrongly.

    Raises:
        SpecError: a field is something that no picture can be prepared with.
    """

    height: int = 224
    width: int = 224
    resize: Pair = (256, 256)
    resize_mode: ResizeMode = ResizeMode.CROP
    interpolation: str = "bilinear"
    channel_order: ChannelOrder = ChannelOrder.RGB
    range: tuple[float, float] = (0.0, 1.0)
    mean: Numbers = IMAGENET_MEAN
    std: Numbers = IMAGENET_STD
    format: InputFormat = InputFormat.FLOAT_NCHW
    resize_in_graph: bool = False
    learned: dict[str, Learned] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not 1 <= self.channels <= LARGEST_CHANNELS:
            raise SpecError(f"pictures of {self.channels} channels: at most {LARGEST_CHANNELS}")
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) != self.channels:
                raise SpecError(
                    f"--{name} has {len(numbers)} numbers, and pictures are "
                    f"{self.channel_order.value}: give {self.channels}, or one for all channels"
                )
            if not all(abs(number) < LARGEST_LEVEL for number in numbers):
                raise SpecError(f"--{name} {listed(numbers)} must be finite numbers")
        if not min(self.std) >= LEAST_STD:
            raise SpecError(f"--std must be positive, not {min(self.std):g}")
        check_range(self.range)
        for side in (self.height, self.width, *self.resize):
            if not 1 <= side <= LARGEST_SIDE:
                raise SpecError(f"images of {side} pixels: a side has 1 to {LARGEST_SIDE}")
        if unknown := self.learned.keys() - set(FIELDS):
            raise SpecError(f"no picture has a {min(unknown)[:40]!r} that can be learned")
        if self.interpolation not in INTERPOLATIONS:
            raise SpecError(
                f"interpolation {self.interpolation!r} is unknown: use {', '.join(INTERPOLATIONS)}"
            )

    @classmethod
    def for_size(cls, height: int, width: int | None = None, *, channels: int = 3) -> InputContract:
        """Return the usual contract of a net with inputs of this size in pixels, square by default.

        ``channels`` is 1 (grey), 3, 4 (RGBA) or any other number (bands, used as they are); mean
        and std are ImageNet's. Small pictures (below
        64 pixels, as CIFAR's) are used whole; larger ones are resized to ``size / 0.875`` first, as
        for ImageNet.
        """
        size = (height, height if width is None else width)
        resize = size if min(size) < 64 else tuple(round(n / CENTER_CROP_RATIO) for n in size)
        order = ChannelOrder.of(channels)
        mean, std = usual_values(order, channels)
        return cls(
            height=size[0],
            width=size[1],
            resize=(resize[0], resize[1]),
            channel_order=order,
            mean=mean,
            std=std,
        )

    def with_size(self, height: int, width: int | None = None) -> InputContract:
        """Return the same contract for another size, with the usual resize of its mode."""
        other = InputContract.for_size(height, width)
        squashed = self.resize_mode is not ResizeMode.CROP
        size = (other.height, other.width)
        resize = size if squashed else other.resize
        return replace(self, height=size[0], width=size[1], resize=resize)

    def as_assumed(self, names: Iterable[str] = FIELDS) -> InputContract:
        """Return the same contract, of which nothing tells the fields ``names``."""
        return self.learned_from(Learned.ASSUMED, names)

    def learned_from(self, source: Learned, names: Iterable[str]) -> InputContract:
        """Return the same contract with ``source`` as where the fields ``names`` were learned."""
        return replace(self, learned={**self.learned, **dict.fromkeys(names, source)})

    @property
    def assumed(self) -> tuple[str, ...]:
        """The fields that nothing told, in the order of :data:`FIELDS`.

        What the graph does itself matters to nobody who feeds it, and bands are not resized.
        """
        told: tuple[str, ...] = () if self.format.is_float else ("range", "mean", "std")
        bands = self.channel_order is ChannelOrder.BANDS
        whole = bands or self.resize_in_graph
        told += ("resize", "resize_mode", "interpolation") if whole else ()
        told += ("channel_order",) if bands else ()
        return tuple(name for name in self._untold if name not in told)

    @property
    def baked_assumption(self) -> str:
        """The normalisation that went into a graph over bytes and was assumed, in words."""
        names = [name for name in ("range", "mean", "std") if name in self._untold]
        if self.format.is_float or not names:
            return ""
        return f"the {', '.join(names)} that its graph normalises with"

    @property
    def _untold(self) -> tuple[str, ...]:
        return tuple(name for name in FIELDS if self.learned.get(name) is Learned.ASSUMED)

    def assumption(self, name: str) -> str:
        """Return what of the file ``name`` is assumed, and how to say what it is, in one line."""
        return (
            f"{name} does not say all of how its pictures are prepared; assumed, as shown under "
            f"'pictures': {options_of(self.assumed)}. A wrong guess gives wrong answers; if it is "
            f"right, say so: {self.as_options(self.assumed)}"
        )

    def as_options(self, names: Iterable[str]) -> str:
        """Return the options that say the fields ``names`` as they are here, for a command line."""
        values = {
            "layout": "NHWC" if self.format.channels_last else "NCHW",
            "size": _pair((self.height, self.width)),
            "channel_order": self.channel_order.value,
            "range": "{:g}-{:g}".format(*self.range),
            "mean": listed(self.mean).replace(" ", ","),
            "std": listed(self.std).replace(" ", ","),
            "resize": _pair(self.resize),
            "resize_mode": self.resize_mode.value,
            "interpolation": self.interpolation,
        }
        return " ".join(f"{options_of([name])} {values[name]}" for name in names)

    @property
    def channels(self) -> int:
        """Of the input; there is one mean for each of any number of bands."""
        return self.channel_order.channels or len(self.mean)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the input of one picture, without the batch; of a crop, where the graph resizes."""
        height, width, channels = self.height, self.width, self.channels
        if self.format is InputFormat.UINT8_S2D:
            return height // BLOCK, width // BLOCK, channels * BLOCK**2
        if self.format.channels_last:
            return height, width, channels
        return channels, height, width

    @property
    def pixels(self) -> int:
        """Of the crop."""
        return self.height * self.width

    @property
    def values(self) -> int:
        """In one input."""
        return self.pixels * self.channels

    @property
    def side(self) -> int:
        """The longer side of the crop, in pixels."""
        return max(self.height, self.width)

    @property
    def divisor(self) -> float:
        """Grey levels in one unit of ``range``: 255 for 0 to 1, exactly 1 for 0 to 255."""
        return bytes_per_unit(self.range)

    @property
    def levels(self) -> Numbers:
        """The grey level, per channel, that becomes 0."""
        return tuple(self.divisor * (mean - self.range[0]) for mean in self.mean)

    @property
    def slopes(self) -> Numbers:
        """Grey levels, per channel, in one unit of the input."""
        return tuple(self.divisor * std for std in self.std)

    @property
    def normalises(self) -> bool:
        """Whether anything is subtracted or divided by, so that mean and std say something."""
        return any(self.mean) or any(std != 1 for std in self.std)

    @property
    def sentence(self) -> str:
        """All of it in one line, and what of it is assumed."""
        said = [self._pixels, self._geometry]
        if self.normalises and (self.format.is_float or "mean" not in self._untold):
            inside = "" if self.format.is_float else "the graph normalises: "
            said += [f"{inside}mean {listed(self.mean)}", f"std {listed(self.std)}"]
        text = ", ".join(said)
        names = ", ".join(name.replace("_", "-") for name in self.assumed)
        return f"{text}  ({names}: assumed)" if names else text

    @property
    def _pixels(self) -> str:
        order = self.channel_order.value
        if self.channel_order is ChannelOrder.BANDS:
            order = f"{self.channels} {order}"
        if not self.format.is_float:
            return f"{order} bytes, {self.format.value.removeprefix('uint8-').upper()}"
        low, high = self.range
        place = ", NHWC" if self.format.channels_last else ""
        return f"{order} {low:g} to {high:g}{place}"

    @property
    def _geometry(self) -> str:
        size, (rows, columns) = (self.height, self.width), self.resize
        if self.channel_order is ChannelOrder.BANDS:
            return f"{self.height}x{self.width}, not resized"
        area = f"{rows}" if rows == columns else f"{rows}x{columns}"
        resized = {
            ResizeMode.CROP: f"shorter side {area}" if rows == columns else f"covering {area}",
            ResizeMode.SQUASH: f"squashed to {rows}x{columns}",
            ResizeMode.PAD: f"padded to {rows}x{columns}",
        }[self.resize_mode]
        centre = f"{size[0]}" if size[0] == size[1] else f"{size[0]}x{size[1]}"
        whole = self.resize_mode is not ResizeMode.CROP and size == self.resize
        steps = f"{resized} {self.interpolation}" + ("" if whole else f", centre {centre}")
        return f"any size (the graph resizes: {steps})" if self.resize_in_graph else steps
