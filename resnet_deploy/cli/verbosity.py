"""``-q`` and ``-v``, before and after the verb."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def together(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """Return one decorator for several ``options``, which help lists in this order."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def verbosity_options(function: F) -> F:
    """``-q`` and ``-v``: how much is said on stderr."""

    def configure(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value:  # the option that was not given must not undo the one that was
            level = logging.ERROR
            if parameter.name == "verbose":
                level = logging.INFO if value == 1 else logging.DEBUG
            logging.getLogger("resnet_deploy").setLevel(level)

    return together(
        click.option(
            "-q",
            "--quiet",
            is_flag=True,
            expose_value=False,
            callback=configure,
            help="No warnings and notices.",
        ),
        click.option(
            "-v", "--verbose", count=True, expose_value=False, callback=configure, help="Say more."
        ),
    )(function)
