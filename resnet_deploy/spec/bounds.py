"""How large a number may be that somebody asks for: beyond these none can be meant."""

from __future__ import annotations

from typing import Any

from resnet_deploy.errors import SpecError

MOST_AT_ONCE = 1024
"""Threads, or processes."""

MOST_SECONDS = 1e6
"""Eleven days."""

MOST_INPUT_VALUES = 100_000_000
"""Of the input that is fed at once: 600 pictures of ImageNet's, or one of 5,700 pixels square."""


MOST_IMAGES = 1 << 16
"""In a batch; an ONNX file whose input has a longer axis is refused."""


def check_range(spec: Any, name: str, least: float, most: float) -> None:
    """Refuse a number of ``spec`` that is smaller than ``least``, larger than ``most``, or NaN.

    Raises:
        SpecError: its field ``name`` is.
    """
    value = getattr(spec, name)
    if not least <= value <= most:
        what = f"at least {least:g}" if value < least else f"{most:,g} at most"
        raise SpecError(f"{name} must be {what}, not {value!r:.40}")


def check_batch(batch_size: int, values: int) -> None:
    """Refuse a batch of more values than can be fed at once; an image has so many ``values``.

    Raises:
        SpecError: it has more.
    """
    if batch_size > MOST_IMAGES:
        raise SpecError(
            f"a batch of {batch_size!r:.40} images is more than {MOST_IMAGES:,}: choose a smaller "
            "--batch-size"
        )
    if batch_size * values > MOST_INPUT_VALUES:
        raise SpecError(
            f"a batch of {batch_size!r:.40} images of {values:,} values each is more than "
            f"{MOST_INPUT_VALUES:,} values at once: choose a smaller --batch-size"
        )
