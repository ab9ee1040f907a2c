"""``--report FILE.html``, and how a verb writes its page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.cli.options import MODEL
from resnet_deploy.errors import ArtifactError

F = TypeVar("F", bound=Callable[..., Any])

_MARK = b'<meta name="generator" content="resnet-deploy '
"""What every page of this tool has in its first ``_HEAD`` bytes."""

_HEAD = 1024


def report_option(function: F) -> F:
    """``--report FILE.html``: the result as a page; the verb gets ``report_file``."""

    def check(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
        if value is not None:
            # Before the work, not after it.
            check_report_target(value)
        return value

    return click.option(
        "--report",
        "report_file",
        type=MODEL,
        metavar="FILE.html",
        callback=check,
        help="Write the result as one HTML page with charts.",
    )(function)


def write_report(page: str, target: Path) -> None:
    """Write the HTML ``page`` to ``target``."""
    check_report_target(target)
    # A file name that is no Unicode must not cost the whole page.
    write_atomically(target, page.encode(errors="replace"))


def check_report_target(path: Path) -> None:
    """Refuse to replace anything but a page of this tool.

    Raises:
        ArtifactError: ``path`` exists and is something else.
    """
    if not path.exists():
        return
    try:
        with path.open("rb") as stream:
            ours = _MARK in stream.read(_HEAD)
    except OSError as error:
        raise ArtifactError(f"--report {path}: {error.strerror}: choose another name") from error
    if not ours:
        raise ArtifactError(
            f"--report {path} exists and is not a page of resnet-deploy: choose another name"
        )
