"""The words of the input contract: kinds of inputs; how numbers, sizes and ranges are written."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Sequence

from resnet_deploy.errors import SpecError

INTERPOLATIONS = ("nearest", "box", "bilinear", "bicubic", "lanczos")
"""Pillow's filters, by its names."""

BLOCK = 2
"""Side of the blocks of pixels of ``uint8-s2d``."""


class InputFormat(str, enum.Enum):
    """Layout and dtype of the graph's input.

    ``float-nchw``: normalised float32 ``(N, C, H, W)``, as torchvision's transforms give, and
    ``float-nhwc``, as TensorFlow's nets take it. The others take the bytes of pixels, and the graph
    normalises: ``uint8-nhwc`` as an image library holds them, ``uint8-nchw``, and ``uint8-s2d``
    with the four pixels of a 2x2 block in one place, ``(N, H/2, W/2, 4 C)`` in the order (row,
    column, channel).
    """

    FLOAT_NCHW = "float-nchw"
    FLOAT_NHWC = "float-nhwc"
    UINT8_NHWC = "uint8-nhwc"
    UINT8_NCHW = "uint8-nchw"
    UINT8_S2D = "uint8-s2d"

    @property
    def is_float(self) -> bool:
        """Whether images are normalised before they are fed."""
        return self in (InputFormat.FLOAT_NCHW, InputFormat.FLOAT_NHWC)

    @property
    def channels_last(self) -> bool:
        """Whether the channels of a pixel lie together."""
        return self in (InputFormat.FLOAT_NHWC, InputFormat.UINT8_NHWC, InputFormat.UINT8_S2D)


EXPORTED_FORMATS = (
    InputFormat.FLOAT_NCHW,
    InputFormat.UINT8_NHWC,
    InputFormat.UINT8_NCHW,
    InputFormat.UINT8_S2D,
)
"""What this tool makes; it reads the others as well."""


class Layout(str, enum.Enum):
    """Where the channels of an input ``(N, C, H, W)`` or ``(N, H, W, C)`` are."""

    NCHW = "NCHW"
    NHWC = "NHWC"


class ChannelOrder(str, enum.Enum):
    """Of the channels of a pixel; ``grey`` is one channel, Pillow's L, and A is opacity.

    ``bands`` are any number of channels that no picture file has, in the order of the arrays that
    are fed: satellites' bands, slices of a scan, stacked frames.
    """

    RGB = "RGB"
    BGR = "BGR"
    GREY = "grey"
    RGBA = "RGBA"
    BANDS = "bands"

    @property
    def channels(self) -> int | None:
        """How many there are; None for ``bands``."""
        return {ChannelOrder.GREY: 1, ChannelOrder.RGBA: 4, ChannelOrder.BANDS: None}.get(self, 3)

    @classmethod
    def of(cls, channels: int) -> ChannelOrder:
        """Return the usual order of that many channels."""
        return {1: cls.GREY, 3: cls.RGB, 4: cls.RGBA}.get(channels, cls.BANDS)


class ResizeMode(str, enum.Enum):
    """How a picture of any shape gets the net's.

    ``crop`` keeps its proportions and covers the resized area; ``squash`` gives up its proportions;
    ``pad`` keeps them and fills what is left with black. The centre is cropped at last.
    """

    CROP = "crop"
    SQUASH = "squash"
    PAD = "pad"


class Learned(str, enum.Enum):
    """Where a field of a contract was learned.

    ``option``: its user said it. ``card``: of this tool. ``config``: a file beside the weights.
    ``release``: the recipe of a published file. ``metadata``: of the ONNX file. ``graph``: what
    stands in front of its first convolution, and the shape of its input. ``witness``: the
    statistics that training left in the net. ``assumed``: nothing told.
    """

    OPTION = "option"
    CARD = "card"
    CONFIG = "config"
    RELEASE = "release"
    METADATA = "metadata"
    GRAPH = "graph"
    WITNESS = "witness"
    ASSUMED = "assumed"


Numbers = tuple[float, ...]
Pair = tuple[int, int]
"""Height and width, in pixels."""

_RANGE = re.compile(r"\[?\s*(-?\d+(?:\.\d*)?)\s*(?:-|\.\.|:|,|to)\s*(-?\d+(?:\.\d*)?)\s*\]?")
_PAIR = re.compile(r"(\d{1,6})(?:[x,](\d{1,6}))?")
LARGEST_SIDE = 8192
"""Pixels of a side, far above any classifier's."""

LARGEST_CHANNELS = 1024
"""Bands of a hyperspectral camera are some hundreds."""

LARGEST_LEVEL = 1e6
"""Far above any range of pixels, and far below where float32 would lose a grey level."""

LEAST_STD = 1e-9
"""Far below that of any picture, and far above where its inverse is not a float32."""


def check_numbers(name: str, value: Sequence[float] | float | None) -> Numbers | None:
    """Return one number, or one a channel, as a tuple.

    Raises:
        SpecError: there are none or too many, or one is not finite.
    """
    if value is None:
        return None
    numbers = (value,) if isinstance(value, int | float) else tuple(value)
    if not 1 <= len(numbers) <= LARGEST_CHANNELS:
        raise SpecError(f"--{name} needs one number a channel or one for all, not {len(numbers)}")
    try:
        numbers = tuple(float(number) for number in numbers)
    except (TypeError, ValueError) as error:
        raise SpecError(f"--{name} {value!r} is not a list of numbers") from error
    if not all(math.isfinite(number) and abs(number) < LARGEST_LEVEL for number in numbers):
        raise SpecError(f"--{name} {listed(numbers)} must be finite numbers")
    return numbers


def range_of(value: Sequence[float] | str | None) -> tuple[float, float] | None:
    """Return what ``0-255``, ``-1-1`` or ``[0, 1]`` says, or two numbers do.

    Raises:
        SpecError: it says no range.
    """
    if value is None:
        return None
    if isinstance(value, str):
        found = _RANGE.fullmatch(value.strip())
        if found is None:
            raise SpecError(f"--range {value!r} is none: use 0-1, 0-255, -1-1 or LOW-HIGH")
        value = (float(found[1]), float(found[2]))
    try:
        low, high = map(float, value)
    except (TypeError, ValueError) as error:
        raise SpecError(f"--range {value!r} is none: use 0-1, 0-255, -1-1 or LOW-HIGH") from error
    check_range((low, high))
    return low, high


def check_range(scale: tuple[float, float]) -> None:
    """Refuse what is not a range of pixels, or so narrow that float32 can't hold its inverse.

    Raises:
        SpecError: black is not below white, or one of them is not finite.
    """
    low, high = scale
    if not (low > -LARGEST_LEVEL and high < LARGEST_LEVEL and high - low >= LEAST_STD):
        raise SpecError(f"--range {low:g} to {high:g} must be two numbers, black below white")


def pair_of(name: str, value: Sequence[int] | int | str | None) -> Pair | None:
    """Return height and width that ``224`` or ``48x192`` says.

    Raises:
        SpecError: it says none, or one that no network takes.
    """
    if value is None:
        return None
    if isinstance(value, str):
        found = _PAIR.fullmatch(value.strip())
        if found is None:
            raise SpecError(f"--{name} {value!r} is not a size: use pixels, or HEIGHTxWIDTH")
        value = (int(found[1]), int(found[2] or found[1]))
    pair = tuple(value) if isinstance(value, list | tuple) else (value, value)
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in pair)
    if len(pair) != 2 or not whole or not all(1 <= side <= LARGEST_SIDE for side in pair):
        said = " ".join(map(str, dict.fromkeys(pair)))
        raise SpecError(
            f"--{name} must be at least 1 and at most {LARGEST_SIDE} pixels, not {said}"
        )
    return pair[0], pair[1]


def share_of(value: float | str | None) -> float | None:
    """Return a share as a number.

    Raises:
        SpecError: it is none.
    """
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError) as error:
        raise SpecError(f"--crop {value!r} is not a share of the picture, such as 0.875") from error


def bytes_per_unit(scale: tuple[float, float]) -> float:
    """Return how many grey levels of 0 to 255 one unit of ``scale`` is; exact for 0 to 255."""
    return 255 / (scale[1] - scale[0])


def listed(numbers: Sequence[float]) -> str:
    """Return numbers as text, one where all are the same."""
    distinct = numbers[:1] if len(set(numbers)) == 1 else numbers
    return " ".join(f"{number:g}" for number in distinct)
