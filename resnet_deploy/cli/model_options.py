"""The options that name a network, shared by every verb that builds one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from resnet_deploy.cli.options import add_options
from resnet_deploy.spec import Shortcut, Stem, Variant
from resnet_deploy.spec.model_request import ModelRequest

F = TypeVar("F", bound=Callable[..., Any])


def model_request_options(function: F) -> F:
    """``--depth`` to ``--image-size``; the verb gets one :class:`ModelRequest` as ``request``."""

    @functools.wraps(function)
    def with_request(
        *arguments: Any,
        depth: int | None,
        model_name: str | None,
        variant: str | None,
        shortcut: str | None,
        stem: str | None,
        plain: bool,
        num_classes: int | None,
        image_size: int | None,
        **others: Any,
    ) -> Any:
        request = ModelRequest(
            depth=depth,
            model=model_name,
            variant=Variant(variant) if variant else None,
            shortcut=Shortcut(shortcut) if shortcut else None,
            stem=Stem(stem) if stem else None,
            plain=plain,
            num_classes=num_classes,
            image_size=image_size,
        )
        return function(*arguments, request=request, **others)

    typed: F = add_options(with_request, _OPTIONS)
    return typed


_OPTIONS = (
    click.option(
        "--depth",
        type=int,
        help="18, 34, 50, 101 or 152 (ImageNet), or any 6n+2 (CIFAR: 20, 32, 44, 56, 110).",
    ),
    click.option(
        "--model",
        "model_name",
        metavar="NAME",
        help="vgg19, resnet34, plain34, …, or package.module:factory for a net of your own.",
    ),
    click.option(
        "--variant",
        type=click.Choice([v.value for v in Variant]),
        help="Where a bottleneck strides: v1 first 1x1 (the paper), v1.5 3x3.  [default: v1.5]",
    ),
    click.option(
        "--shortcut",
        type=click.Choice([s.value for s in Shortcut], case_sensitive=False),
        metavar="[A|B|C]",
        help="A zero-padded identity, B projection on a change, C always.  "
        "[default: B; CIFAR nets A]",
    ),
    click.option(
        "--stem",
        type=click.Choice([s.value for s in Stem]),
        help="7x7/2 and max-pool, or 3x3/1 for small images.",
    ),
    click.option("--plain", is_flag=True, help="The paper's plain net: no shortcuts."),
    click.option("--num-classes", type=click.IntRange(1), help="Number of classes."),
    click.option("--image-size", type=click.IntRange(1), help="Height and width in pixels."),
)
