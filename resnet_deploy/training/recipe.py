"""Recipes by name, from TOML files, and changed on the command line."""

from __future__ import annotations

import enum
import importlib.resources
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from resnet_deploy.errors import SpecError, one_line
from resnet_deploy.parsing import strict_converter, structured
from resnet_deploy.plain_values import read_text, strict_toml
from resnet_deploy.spec.model_request import ModelRequest
from resnet_deploy.spec.training import RECIPE_FIELDS, Recipe

RECIPES = ("cifar", "cifar-fast", "nvidia", "transfer", "qat")
"""Names of the recipes in this package, ``recipes/<name>.toml``."""

_SMALL = 64
"""Pixels below which an image is CIFAR's kind rather than ImageNet's."""

_MOST_BYTES = 1 << 20
"""Of a recipe's file: there are two dozen fields."""

_FROM_EPOCHS = "from_epochs"
"""A table of a recipe's file: by a number of epochs, what runs of at least that length change."""

_converter = strict_converter(forbid_extra_keys=True)


def read_recipe(name: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """Return the recipe called ``name``, or the one in the TOML file ``name``.

    Args:
        name: one of :data:`RECIPES`, or a path.
        changes: fields that replace the recipe's own.

    Raises:
        SpecError: there is no such recipe, or it says what no recipe can.
    """
    try:
        values = strict_toml(recipe_text(name))
    except ValueError as error:
        raise SpecError(f"the recipe {name} is not TOML: {one_line(error)}") from error
    longer = values.pop(_FROM_EPOCHS, {})
    changes = dict(changes or {})
    own = recipe_of(values, name)
    epochs = changes.get("epochs", own.epochs)
    if 0 < epochs < own.epochs:
        # A shorter run warms up for the same share of it.
        values["warmup_epochs"] = own.warmup_epochs * epochs / own.epochs
    for least, more in _tables(name, longer):
        _check_fields(more, f"{name}, in {_FROM_EPOCHS}.{least},")  # also where it is not reached
        if epochs >= least:
            values.update(more)
    return recipe_of({**values, **changes}, name)


def default_recipe(request: ModelRequest, weights: str, *, qat: bool) -> str:
    """Return the recipe of a training that names none."""
    if qat:
        return "qat"
    if weights != "random":
        return "transfer"
    return "cifar-fast" if request.spec().image_size < _SMALL else "nvidia"


def recipe_text(name: str) -> str:
    """Return the TOML text of a recipe.

    Raises:
        SpecError: there is no such recipe, or it can't be read.
    """
    if name in RECIPES:
        file = importlib.resources.files("resnet_deploy.training") / "recipes" / f"{name}.toml"
        return file.read_text(encoding="utf-8")
    path = Path(name)
    if not path.exists():
        raise SpecError(
            f"no recipe is called {name!r}: use {', '.join(RECIPES)}, or name a TOML file"
        )
    try:
        return read_text(path, _MOST_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise SpecError(f"cannot read the recipe {name}: {reason}") from error


def recipe_of(values: Mapping[str, Any], name: str = "recipe") -> Recipe:
    """Return the recipe that plain values, as of TOML or JSON, describe.

    Raises:
        SpecError: an unknown field, a value of the wrong type, or one that no training can have.
    """
    _check_fields(values, name)
    try:
        return structured(_converter, dict(values), Recipe)
    except ValueError as error:
        reason = one_line(error).removeprefix("recipe: ")
        raise SpecError(f"the recipe {name}: {reason}") from error


def to_values(recipe: Recipe) -> dict[str, Any]:
    """Return ``recipe`` as plain values, which :func:`recipe_of` reads back."""
    return {
        name: value.value
        if isinstance(value, enum.Enum)
        else list(value)
        if isinstance(value, tuple)
        else value
        for name, value in asdict(recipe).items()
    }


def _check_fields(values: Mapping[str, Any], where: str) -> None:
    for field in values:
        if field not in RECIPE_FIELDS:
            raise SpecError(
                f"{where} says {field!r}, which no recipe has: {', '.join(RECIPE_FIELDS)}"
            )


def _tables(name: str, longer: Any) -> list[tuple[int, dict[str, Any]]]:
    try:
        return sorted((int(epochs), dict(more)) for epochs, more in longer.items())
    except (AttributeError, TypeError, ValueError) as error:
        raise SpecError(
            f"the recipe {name}: write [{_FROM_EPOCHS}.90] above what runs of 90 epochs and more "
            "change"
        ) from error
