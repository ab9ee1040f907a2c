"""Cards are read from JSON with distrust: a file may come from anywhere."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from cattrs.gen import make_dict_unstructure_fn, override

from resnet_deploy.errors import ResnetDeployError, one_line
from resnet_deploy.parsing import strict_converter, structured
from resnet_deploy.plain_values import strict_json
from resnet_deploy.spec import InputContract, ModelSpec

converter = strict_converter(forbid_extra_keys=True)


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
        ResnetDeployError: of ``error_type``; the text is not a card, or one of another format.
    """
    try:
        data = strict_json(text)
        if not isinstance(data, dict) or "format" not in data:
            raise ValueError("it is not an object with a format")
        written = data["format"]
        if written not in formats or not isinstance(written, int) or isinstance(written, bool):
            raise error_type(
                f"the {name} has format {one_line(repr(written), 40)}, this version reads up to "
                f"{formats[-1]}: use the resnet-deploy that wrote it, or {remedy}"
            )
        if written <= squares:
            data["preprocess"] = _with_both_sides(data.get("preprocess"))
        return structured(converter, data, kind)
    except ValueError as error:
        raise error_type(f"the {name} is damaged ({one_line(error)}): {remedy}") from error


def _with_both_sides(old: Any) -> Any:
    """Return the input contract of a card whose images were squares, by today's names."""
    # Where it says both, it is left as it is, and refused for the names that are not today's.
    squares = isinstance(old, dict) and {"crop", "resize"} <= old.keys()
    if not squares or old.keys() & {"height", "width"}:
        return old
    crop, resize = old["crop"], old["resize"]
    rest = {key: value for key, value in old.items() if key not in ("crop", "resize")}
    return {**rest, "height": crop, "width": crop, "resize": [resize, resize]}
