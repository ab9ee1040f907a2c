"""Where a result goes: the terminal, JSON, a page, a table; and the exit code that it means."""

from __future__ import annotations

import csv
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from resnet_deploy import api
from resnet_deploy.artifact.files import write_together
from resnet_deploy.cli.completion import listed
from resnet_deploy.cli.options import PATH
from resnet_deploy.cli.verbosity import together, verbosity_options
from resnet_deploy.errors import ArtifactError
from resnet_deploy.paths import resolved
from resnet_deploy.plain_values import strict_json
from resnet_deploy.visible import recorded_line

if TYPE_CHECKING:
    from rich.console import Console

    from resnet_deploy.artifact.artifact import Artifact
    from resnet_deploy.results import AnswerResult, Environment, EvalResult, IsaReport
    from resnet_deploy.results.base import Result

F = TypeVar("F", bound=Callable[..., Any])

_PIPED_WIDTH = 240
"""Columns when no terminal sets them: no table of this tool is wider."""

_NARROWEST = 80
"""Columns: enough for one table in a pipe."""

_ON_STDOUT = "resnet_deploy.json_on_stdout"
_FILES = "resnet_deploy.files"
_PAGE_MARK = b'<meta name="generator" content="resnet-deploy '
"""What every page of this tool has in its first ``_HEAD`` bytes."""

_MARKDOWN_MARK = b"<!-- written by resnet-deploy -->"

_HEAD = 1024
"""Bytes at the start, or at the end, that hold the mark."""


def output_options(function: F) -> F:
    """``--json``, ``--report``, ``--csv``, ``--markdown``, ``-q`` and ``-v``; see :func:`show`."""
    return together(
        click.option(
            "--json",
            is_flag=False,
            flag_value="-",
            default=None,
            metavar="[FILE]",
            shell_complete=listed("[FILE]"),
            expose_value=False,
            callback=_note_json,
            help="Write the result as JSON to FILE; without FILE to stdout.",
        ),
        *(
            click.option(
                flag, type=PATH, metavar=metavar, expose_value=False, callback=_note_page, help=text
            )
            for flag, metavar, text in (
                ("--report", "FILE.html", "Write the result as one HTML page with charts."),
                ("--csv", "FILE", "Write the tables of the result as CSV."),
                ("--markdown", "FILE", "Write the result as Markdown."),
            )
        ),
        verbosity_options,
    )(function)


def here() -> Environment:
    """Return where this runs, and the command that repeats it, quoted for a shell.

    What is secret in a URL is left out: the command goes into cards and pages.
    """
    from resnet_deploy.runners.cpu import environment

    return environment(recorded_line(["resnet-deploy", *sys.argv[1:]]))


def prints() -> bool:
    """Return whether results go to stdout as text: JSON there stands alone."""
    return not _asked(_ON_STDOUT)


def show(result: Result, then: Callable[[], object] | None = None) -> None:
    """Print ``result``, write it where the options say, and end with the code of its verdict.

    ``then`` is done last: what was found is on the screen by now.
    """
    if prints():
        print_result(result)
    keep(result)
    if then is not None:
        then()
    click.get_current_context().exit(1 if result.passed is False else 0)


def replace_card(
    artifact: Artifact,
    result: EvalResult | AnswerResult | IsaReport,
    data: Path | str | None = None,
    *,
    labels_file: Path | str | None = None,
    follow_links: bool = False,
) -> None:
    """Replace the file of ``artifact`` by the same network whose card says what was found."""
    path = resolved(artifact.path)  # a link stays one
    made = api.record(
        artifact, result, data=data, labels_file=labels_file, follow_links=follow_links
    )
    api.save(made, path)


def print_result(result: Result) -> None:
    """Print ``result`` as tables, with all details after ``-v``."""
    from resnet_deploy.report import render

    out = console()
    out.width = max(_NARROWEST, out.width)
    detail = logging.getLogger("resnet_deploy").isEnabledFor(logging.INFO)
    out.print(render(result, out.width, detail=detail))


def keep(result: Result) -> None:
    """Write ``result`` to the files that ``--json``, ``--report`` and the like name, or to none."""
    from resnet_deploy import report

    if _asked(_ON_STDOUT):
        # As bytes: JSON is UTF-8, whatever letters the terminal has.
        click.echo(report.json(result).encode(), nl=False)
    writers = {
        "json": report.json,
        "report": report.html,
        "csv": report.csv,
        "markdown": report.markdown,
    }
    named: dict[str, Path] = _asked(_FILES) or {}
    for option, path in named.items():
        check_replaceable(option, path)
    about = {Path(path): digest for path, digest in result.written.items()} if named else {}
    contents = {path: writers[option](result).encode() for option, path in named.items()}
    write_together(contents, about=about)


def console() -> Console:
    """Return stdout for rich: as wide as the terminal, or wide enough for every table."""
    from rich.console import Console

    terminal = Console(highlight=False)
    return terminal if terminal.is_terminal else Console(highlight=False, width=_PIPED_WIDTH)


def check_replaceable(option: str, path: Path) -> None:
    """Refuse to replace what is not the output of this tool.

    Raises:
        ArtifactError: ``path`` exists and is something else.
    """
    try:
        if not path.exists():
            return
        # A pipe has no end, and neither has /dev/zero.
        content = path.read_bytes() if path.is_file() else None
    except OSError as error:
        raise ArtifactError(f"--{option} {path}: {error.strerror}: choose another name") from error
    kind, is_kind = _KINDS[option]
    if content is None or not is_kind(content):
        raise ArtifactError(f"--{option} {path} exists and is not {kind}: choose another name")


def _is_json(content: bytes) -> bool:
    try:
        strict_json(content.decode())
    except ValueError:
        return False
    return True


def _is_csv(content: bytes) -> bool:
    """Return whether ``content`` is tables: rows of one length, perhaps below a caption."""
    if not content:
        return True  # of a result that has no table
    try:
        blocks = content.decode().replace("\r\n", "\n").strip("\n").split("\n\n")
        tables = [list(csv.reader(block.split("\n"), strict=True)) for block in blocks]
    except (UnicodeDecodeError, csv.Error):
        return False
    widths = ({len(row) for row in (rows[1:] if len(rows[0]) == 1 else rows)} for rows in tables)
    return all(len(width) == 1 and min(width) > 1 for width in widths)


_KINDS: dict[str, tuple[str, Callable[[bytes], bool]]] = {
    "json": ("a JSON file", _is_json),
    "csv": ("a CSV file", _is_csv),
    "report": ("a page of resnet-deploy", lambda content: _PAGE_MARK in content[:_HEAD]),
    "markdown": ("a page of resnet-deploy", lambda content: _MARKDOWN_MARK in content[-_HEAD:]),
}
"""Option -> what it may replace, in words and as a check."""


def _note_json(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value == "-":
        ctx.meta[_ON_STDOUT] = True
    elif value is not None:
        _note(ctx, "json", Path(value))


def _note_page(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    if value is not None:
        assert parameter.name is not None, "every option has a name"
        _note(ctx, parameter.name, value)


def _note(ctx: click.Context, option: str, path: Path) -> None:
    """Note where a result goes, after a look at that place: before the work, not after it.

    Raises:
        ArtifactError: something else is there, or goes there.
    """
    check_replaceable(option, path)
    files: dict[str, Path] = ctx.meta.setdefault(_FILES, {})
    for other, taken in files.items():
        if resolved(taken) == resolved(path):
            raise ArtifactError(
                f"--{option} {path} is where --{other} is written: choose another name"
            )
    files[option] = path


def report_to(path: Path) -> None:
    """Write the page to ``path`` unless ``--report`` names another file.

    Raises:
        ArtifactError: something else is there, or goes there.
    """
    if not asked_for_report():
        _note(click.get_current_context(), "report", path)


def asked_for_report() -> bool:
    """Return whether a file was asked for by ``--report``."""
    return "report" in (_asked(_FILES) or {})


def _asked(key: str) -> Any:
    return click.get_current_context().meta.get(key)
