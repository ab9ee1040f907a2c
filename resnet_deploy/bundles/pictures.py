"""Made-up pictures that exercise what preprocessing can get wrong.

Sizes are odd, upright, lying, elongated, too small and just right; one is grey. Only integers, and
the noise of :mod:`resnet_deploy.data.synthetic`, so that every machine makes the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from resnet_deploy.data.synthetic import synthetic_images
from resnet_deploy.spec import Preprocess

Pixels = NDArray[np.uint8]

_WORDS = "resnet 34: 3x3 conv, 64\nRGB, not BGR. Bilinear."
_SEED = 0


def made_up_pictures(spec: Preprocess) -> Mapping[str, Pixels]:
    """Return pictures by name: RGB ``(H, W, 3)`` or grey ``(H, W)``, in uint8.

    Args:
        spec: what they will be prepared with; it determines their sizes.
    """
    resize, crop = spec.resize, spec.crop
    photo = synthetic_images(1, resize * 3 // 2, _SEED)[0]
    return {
        "photo-like": photo[: resize * 5 // 4],
        "as-is": synthetic_images(1, crop, _SEED + 1)[0],
        "gradient-upright": _gradient(resize * 9 // 8 + 1, resize * 3 + 3),
        "text-lying": _text(resize * 2 + 1, resize + 7),
        "small": synthetic_images(1, max(crop // 3, 5), _SEED + 2)[0],
        "checkerboard-elongated": _checkerboard(resize * 3, resize // 2 + 1),
        "grey": np.ascontiguousarray(photo[: resize + 5, : resize * 4 // 3, 1]),
    }


def _gradient(width: int, height: int) -> Pixels:
    """Red grows to the right, green downwards, blue against both: any swap or flip shows."""
    across = np.arange(width) * 255 // (width - 1)
    down = np.arange(height) * 255 // (height - 1)
    picture = np.empty((height, width, 3), dtype=np.uint8)
    picture[..., 0] = across
    picture[..., 1] = down[:, None]
    picture[..., 2] = 255 - (across + down[:, None]) // 2
    return picture


def _text(width: int, height: int) -> Pixels:
    """Sharp edges in dark red on light yellow; the bitmap font is part of Pillow."""
    letters = Image.new("L", (150, 40), 0)
    ImageDraw.Draw(letters).multiline_text(
        (4, 4), _WORDS, fill=255, font=ImageFont.load_default_imagefont()
    )
    mask = np.asarray(letters.resize((width, height), Image.Resampling.NEAREST)) > 127
    picture = np.empty((height, width, 3), dtype=np.uint8)
    picture[:] = (255, 250, 205)
    picture[mask] = (128, 16, 16)
    return picture


def _checkerboard(width: int, height: int) -> Pixels:
    """Squares of one pixel: what is resized without antialiasing gets moiré instead of grey."""
    field = (np.arange(width) + np.arange(height)[:, None]) % 2
    colours = np.array([(250, 40, 40), (20, 200, 220)], dtype=np.uint8)
    picture: Pixels = colours[field]
    return picture
