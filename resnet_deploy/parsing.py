"""From the plain values of a file to typed ones: parsed at one door per format, trusted behind it.

A file may come from anywhere. ``"false"`` is not False, ``"abc"`` are not three names, 32.9 is not
32 and 1 is not True: nothing is bent into shape.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from collections.abc import Callable
from typing import Any, TypeVar, get_args, get_origin

import cattrs
from cattrs.gen import make_dict_structure_fn

from resnet_deploy.errors import one_line
from resnet_deploy.plain_values import finite

_T = TypeVar("_T")
_Hook = Callable[[Any, Any], Any]

LONGEST_TEXT = 1 << 16
"""Letters of one text: names that somebody gives have a few dozen."""


def strict_converter(*, forbid_extra_keys: bool = False) -> cattrs.Converter:
    """Return a converter that takes values of the kinds that a class names, and no others."""
    converter = cattrs.Converter(forbid_extra_keys=forbid_extra_keys)
    kinds: tuple[tuple[type, _Hook], ...] = ((bool, _as_bool), (int, _as_int))
    kinds += ((float, _as_float), (str, _as_str))
    for kind, hook in kinds:
        converter.register_structure_hook(kind, hook)

    @converter.register_structure_hook_factory(dataclasses.is_dataclass)
    def _class(kind: Any) -> _Hook:
        return _class_hook(converter, kind)

    @converter.register_structure_hook_factory(_is_tuple)
    def _tuple(kind: Any) -> _Hook:
        return _tuple_hook(converter, get_args(kind))

    @converter.register_structure_hook_factory(_is_dict)
    def _dict(kind: Any) -> _Hook:
        return _dict_hook(converter, get_args(kind))

    return converter


def structured(converter: cattrs.Converter, data: Any, kind: type[_T]) -> _T:
    """Return ``data``, plain values of JSON or TOML, as the class ``kind``.

    Raises:
        ValueError: it is none; the message says where, and what is wrong there.
    """
    try:
        return converter.structure(data, kind)
    except Exception as error:  # whatever a constructor raises: it has met somebody's values
        raise ValueError(_reason(error)) from error


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _is_dict(kind: Any) -> bool:
    return get_origin(kind) is dict


def _as_bool(value: Any, _: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{_shown(value)} is neither true nor false")
    return value


def _as_int(value: Any, _: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{_shown(value)} is not a whole number")
    return value


def _as_float(value: Any, _: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{_shown(value)} is not a number")
    return finite(str(value)) if isinstance(value, int) else _finite_float(value)


def _finite_float(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a number")
    return value


def _as_str(value: Any, kind: Any) -> Any:
    # cattrs brings what is derived from str here as well: our enumerations.
    if issubclass(kind, enum.Enum):
        return _as_member(value, kind)
    if not isinstance(value, str):
        raise ValueError(f"{_shown(value)} is not text")
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"a text of {len(value)} letters")
    return value


def _as_member(value: Any, kind: Any) -> Any:
    try:
        if isinstance(value, str):
            return kind(value)
    except ValueError:
        pass
    words = ", ".join(str(member.value) for member in kind)
    raise ValueError(f"{_shown(value)} is none of {words}")


def _class_hook(converter: cattrs.Converter, kind: Any) -> _Hook:
    parse = make_dict_structure_fn(kind, converter)

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError(f"{_shown(value)} is not an object")
        return parse(value, kind)

    return hook


def _tuple_hook(converter: cattrs.Converter, kinds: tuple[Any, ...]) -> _Hook:
    many = len(kinds) == 2 and kinds[1] is Ellipsis

    def hook(value: Any, _: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{_shown(value)} is not a list")
        if not many and len(value) != len(kinds):
            raise ValueError(f"{len(value)} values where there are {len(kinds)}")
        each = (kinds[0],) * len(value) if many else kinds
        return tuple(converter.structure(v, k) for v, k in zip(value, each, strict=True))

    return hook


def _dict_hook(converter: cattrs.Converter, kinds: tuple[Any, ...]) -> _Hook:
    def hook(value: Any, _: Any) -> dict[Any, Any]:
        if not isinstance(value, dict):
            raise ValueError(f"{_shown(value)} is not an object")
        return {
            converter.structure(key, kinds[0]): converter.structure(held, kinds[1])
            for key, held in value.items()
        }

    return hook


def _shown(value: Any) -> str:
    """Return ``value`` as a message may repeat it; it is a stranger's and may have megabytes."""
    if isinstance(value, list | tuple | dict):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    return json.dumps(value)[:60] if value is None or isinstance(value, bool) else repr(value)[:60]


def _reason(error: BaseException) -> str:
    """Return the first thing that is wrong, and in which field."""
    where: list[str] = []
    while isinstance(error, cattrs.BaseValidationError):
        inner = error.exceptions[0]
        notes = (getattr(note, "name", None) for note in getattr(inner, "__notes__", ()))
        where += [str(name) for name in notes if name is not None]
        error = inner
    if isinstance(error, cattrs.errors.ForbiddenExtraKeysError):
        names = ", ".join(sorted(map(str, error.extra_fields))[:3])
        said = f"{one_line(names, 80)!r} is nothing that it has"
    elif isinstance(error, KeyError):
        where, said = where[:-1], f"{one_line(error, 80)} is missing"
    else:
        said = one_line(error)
    return f"{'.'.join(where)}: {said}" if where else said
