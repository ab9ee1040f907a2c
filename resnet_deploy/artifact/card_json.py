"""Cards are read from JSON with distrust: a file may come from anywhere."""

from __future__ import annotations

import json
import math
from typing import Any, Protocol, TypeVar

import cattrs
from cattrs.gen import make_dict_unstructure_fn, override

from resnet_deploy.errors import ResnetDeployError, SpecError, one_line
from resnet_deploy.spec import InputContract, ModelSpec

_LARGEST_IMAGE = 8192
"""Pixels of a side, far above any classifier's."""

# Nested errors would hide the message of the one that matters.
converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=False)


# Old releases read cards of the nets that they know: new fields are written for others only.
converter.register_unstructure_hook(
    ModelSpec,
    make_dict_unstructure_fn(
        ModelSpec,
        converter,
        design=override(omit_if_default=True),
        in_channels=override(omit_if_default=True),
    ),
)


def written_format(model: ModelSpec, newest: int) -> int:
    """Return the format of a card of ``model``: below the ``newest`` where old releases know it."""
    return newest if model.design is not None or model.in_channels != 3 else newest - 1


class _Card(Protocol):
    @property
    def preprocess(self) -> InputContract: ...


_C = TypeVar("_C", bound=_Card)


def read_card(
    text: str,
    kind: type[_C],
    *,
    name: str,
    formats: tuple[int, ...],
    squares: int,
    remedy: str,
    error_type: type[ResnetDeployError],
) -> _C:
    """Return the card of class ``kind`` that ``text`` holds, in the format it was written in.

    Errors call it ``name`` and give ``remedy``. ``formats`` can be read, the newest is the last;
    up to ``squares`` images had one side.

    Raises:
        ResnetDeployError: of ``error_type``; the text is no card, or one of another format.
    """
    try:
        data = strict_json(text)
        if data["format"] not in formats:
            raise error_type(
                f"the {name} has format {data['format']!r}, this version reads up to "
                f"{formats[-1]}: use the resnet-deploy that wrote it, or {remedy}"
            )
        if data["format"] <= squares:
            data["preprocess"] = _with_both_sides(data["preprocess"])
        card = converter.structure(data, kind)
        check_sizes(card.preprocess)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        cattrs.errors.ForbiddenExtraKeysError,
        SpecError,
    ) as error:
        raise error_type(f"the {name} is damaged ({one_line(error)}): {remedy}") from error
    return card


def _with_both_sides(old: dict[str, Any]) -> dict[str, Any]:
    """Return the input contract of a card whose images were squares, by today's names."""
    if "crop" not in old:
        return old
    crop, resize = old["crop"], old["resize"]
    rest = {key: value for key, value in old.items() if key not in ("crop", "resize")}
    return {**rest, "height": crop, "width": crop, "resize": [resize, resize]}


def strict_json(text: str) -> Any:
    """Return what JSON ``text`` holds.

    Raises:
        ValueError: it is no JSON, or holds a number that is not finite or half a character.
        RecursionError: it is nested too deeply.
    """
    data = json.loads(text, parse_constant=_finite, parse_float=_finite, parse_int=_whole)
    # Half a surrogate pair is no text that can be written anywhere.
    json.dumps(data, ensure_ascii=False).encode()
    return data


def _finite(digits: str) -> float:
    """Refuse ``NaN`` and ``Infinity``, which Python alone writes into JSON."""
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is no number")
    return number


def _whole(digits: str) -> int:
    """Refuse whole numbers too large for a float, which fields of floats would choke on."""
    _finite(digits)
    return int(digits)


def check_sizes(preprocess: InputContract) -> None:
    """Refuse an image size that no network takes, before memory for it is allocated.

    Raises:
        ValueError: a side of ``preprocess`` is less than 1 or more than 8192 pixels.
    """
    for size in (*preprocess.resize, preprocess.height, preprocess.width):
        if not 1 <= size <= _LARGEST_IMAGE:
            raise ValueError(f"images of {size} pixels")
