"""From an image to the input tensor."""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields, replace

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

CENTER_CROP_RATIO = 0.875
"""Crop over resize of ImageNet evaluation: 224 of 256."""


class InputFormat(str, enum.Enum):
    """What the graph's input holds.

    ``float-nchw``: normalised float32 ``(N, 3, H, W)``, as torchvision's transforms give. The
    others take the bytes of RGB pixels, and the graph normalises: ``uint8-nhwc`` as an image
    library holds them, ``uint8-nchw``, and ``uint8-s2d`` with the four pixels of a 2x2 block in one
    place, ``(N, H/2, W/2, 12)`` in the order (row, column, RGB).
    """

    FLOAT_NCHW = "float-nchw"
    UINT8_NHWC = "uint8-nhwc"
    UINT8_NCHW = "uint8-nchw"
    UINT8_S2D = "uint8-s2d"


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """From an image to the input tensor, as torchvision evaluates.

    The shorter side is resized to ``resize`` pixels (antialiased), the centre ``crop`` x
    ``crop`` pixels are kept, RGB is scaled to [0, 1], then ``(x - mean) / std`` per channel.
    A ``format`` of bytes ends after the crop: the graph does the rest. With ``resize_in_graph`` it
    resizes and crops as well, and the input is the image as it is.
    """

    resize: int = 256
    crop: int = 224
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: str = "bilinear"
    format: InputFormat = InputFormat.FLOAT_NCHW
    resize_in_graph: bool = False

    @classmethod
    def for_size(cls, image_size: int) -> Preprocess:
        """Return the usual preprocessing of a net with square inputs of ``image_size`` pixels.

        Small images (below 64 pixels, as CIFAR's) are used whole; larger ones are resized to
        ``image_size / 0.875`` first, as for ImageNet.
        """
        resize = image_size if image_size < 64 else round(image_size / CENTER_CROP_RATIO)
        return cls(resize=resize, crop=image_size)


@dataclass(frozen=True, kw_only=True)
class PreprocessOverrides:
    """What a user says of the preprocessing; None leaves it as it is otherwise.

    Args:
        mean: of red, green and blue on [0, 1].
        std: their standard deviations.
        resize: pixels of the shorter side before the crop.
        interpolation: ``bilinear`` or ``bicubic``.
    """

    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    resize: int | None = None
    interpolation: str | None = None

    def over(self, usual: Preprocess) -> Preprocess:
        """Return ``usual`` with what was said in place of its own."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(usual, **{key: value for key, value in said.items() if value is not None})
