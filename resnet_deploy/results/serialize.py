"""Results to plain JSON values and back.

``to_dict`` gives every field, and the properties named in the class's ``DERIVED`` beside them.
``from_dict`` reads the fields back and computes the rest anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

import cattrs

R = TypeVar("R")

_converter = cattrs.Converter()


def to_dict(result: Any) -> dict[str, Any]:
    """Return ``result`` as plain JSON values, derived ones too; infinities become None."""
    data: dict[str, Any] = _finite(_converter.unstructure(result))
    _add_derived(result, data)
    return data


def from_dict(kind: type[R], data: Mapping[str, Any]) -> R:
    """Return the result of class ``kind`` that :func:`to_dict` wrote."""
    return _converter.structure(data, kind)


def _add_derived(result: Any, data: dict[str, Any]) -> None:
    for name in getattr(result, "DERIVED", ()):
        data[name] = _finite(_converter.unstructure(getattr(result, name)))
    for name, value in data.items():
        child = getattr(result, name)
        if isinstance(value, dict) and hasattr(child, "DERIVED"):
            _add_derived(child, value)
        elif isinstance(value, list | tuple):
            for grandchild, item in zip(child, value, strict=True):
                if isinstance(item, dict):
                    _add_derived(grandchild, item)


def _finite(value: Any) -> Any:
    """JSON has no infinity: an SQNR of identical outputs is written as null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
