"""The type of an array whose dtype is the caller's; shapes are told in docstrings."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
