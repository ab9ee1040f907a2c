"""Options that several verbs share, and how a verb writes its result."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.errors import ArtifactError
from resnet_deploy.progress import Progress
from resnet_deploy.spec import InputFormat

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from resnet_deploy.results import Deployment

F = TypeVar("F", bound=Callable[..., Any])

_MOST_THREADS = 1024
"""More threads than any CPU of today has; asking for thousands only hangs."""

_PIPED_WIDTH = 240
"""Columns when nobody's terminal sets them: no table of this tool is wider."""

_COUNTS_IMAGES = frozenset({"calibrating", "evaluating", "classifying"})
"""Stages whose progress is a number of images."""

MODEL = click.Path(path_type=Path)
"""A path that the library checks, so that every bad file gets the library's one line."""


class RgbType(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """Three comma-separated numbers, such as ``0.485,0.456,0.406``."""

    name = "R,G,B"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float, float]:
        """Return the three numbers."""
        try:
            red, green, blue = (float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not three numbers such as 0.5,0.5,0.5", param, ctx)
        return red, green, blue


def add_options(function: Any, options: Sequence[Callable[[Any], Any]]) -> Any:
    """Return ``function`` with ``options``, which its help lists in this order."""
    for option in reversed(options):
        function = option(function)
    return function


def model_argument(function: F) -> F:
    """The positional ``MODEL.onnx``."""
    return click.argument("model", metavar="MODEL.onnx", type=MODEL)(function)


def data_option(*, required: bool = False) -> Callable[[F], F]:
    """``--data``: where labelled images are."""
    return click.option(
        "--data",
        type=MODEL,
        required=required,
        help="Image folder (DIR/<class>/*.jpg), CIFAR batches, IDX files or .npz.",
    )


def threads_option(function: F) -> F:
    """``--threads``: how many threads a runner may use."""
    return click.option(
        "--threads",
        type=click.IntRange(0, _MOST_THREADS),
        default=0,
        show_default="physical cores this process may use",
        help="Threads of the runner.",
    )(function)


def batch_size_option(default: int) -> Callable[[F], F]:
    """``--batch-size``: images per run."""
    return click.option(
        "--batch-size",
        type=click.IntRange(1),
        default=default,
        show_default=True,
        help="Images per run.",
    )


def seed_option(function: F) -> F:
    """``--seed``: of everything random."""
    return click.option(
        "--seed",
        type=click.IntRange(0, 2**63 - 1),
        default=0,
        show_default=True,
        help="Seed of everything random.",
    )(function)


def input_option(default: InputFormat | None) -> Callable[[F], F]:
    """``--input``: what the files take; None is what the source takes."""
    return click.option(
        "--input",
        "input_format",
        type=click.Choice([one.value for one in InputFormat]),
        default=None if default is None else default.value,
        show_default=default is not None or "as the model",
        help="What the files take: normalised floats, or the bytes of RGB pixels.",
    )


def force_option(function: F) -> F:
    """``--force``: replace files that this tool did not write."""
    return click.option(
        "--force", is_flag=True, help="Replace files that resnet-deploy did not write."
    )(function)


def json_option(function: F) -> F:
    """``--json [FILE]``: the result for machines; without FILE on stdout, alone."""

    def check(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
        if value not in (None, "-"):
            # Before the work, not after it.
            check_json_target(Path(str(value)))
        return value

    return click.option(
        "--json",
        "json_file",
        is_flag=False,
        flag_value="-",
        default=None,
        metavar="[FILE]",
        callback=check,
        help="Write the result as JSON to FILE; without FILE to stdout.",
    )(function)


def verbosity_options(function: F) -> F:
    """``-q`` and ``-v``: how much is said on stderr."""

    def configure(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        from resnet_deploy.cli.main import configure_logging

        if value:  # the option that was not given must not undo the one that was
            configure_logging(int(value) if parameter.name == "verbose" else -1)

    quiet = click.option(
        "-q", "--quiet", is_flag=True, expose_value=False, callback=configure, help="Errors only."
    )
    verbose = click.option(
        "-v", "--verbose", count=True, expose_value=False, callback=configure, help="Say more."
    )
    return verbose(quiet(function))


def write_json(data: Any, target: str) -> None:
    """Write ``data`` as indented JSON to the file ``target``, or to stdout when it is ``-``."""
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    if target == "-":
        click.echo(text, nl=False)
        return
    check_json_target(Path(target))
    write_atomically(Path(target), text.encode())


def check_json_target(path: Path) -> None:
    """Refuse to replace anything but JSON.

    Raises:
        ArtifactError: ``path`` exists and is something else.
    """
    if not path.exists():
        return
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"--json {path} exists and is not a JSON file: choose another name"
        ) from error


def console() -> Console:
    """Return stdout for rich: as wide as the terminal, or wide enough for every table."""
    from rich.console import Console

    terminal = Console(highlight=False)
    return terminal if terminal.is_terminal else Console(highlight=False, width=_PIPED_WIDTH)


def rendered(result: Any) -> RenderableType:
    """Return ``result`` as the console is wide."""
    from resnet_deploy.report import render

    return render(result, console().width)


def show(report: RenderableType, data: Any, json_file: str | None) -> None:
    """Print ``report``, unless JSON goes to stdout; write ``data`` where ``--json`` says."""
    if json_file != "-":
        console().print(report)
    if json_file is not None:
        write_json(data, json_file)


def show_deployment(deployment: Deployment, json_file: str | None) -> None:
    """Show what was made and proven; exit with 1 when a check failed."""
    from resnet_deploy.results import to_dict

    show(rendered(deployment), to_dict(deployment), json_file)
    click.get_current_context().exit(0 if deployment.passed else 1)


def command_line() -> str:
    """Return the command that repeats this run, quoted for a shell."""
    return shlex.join(["resnet-deploy", *sys.argv[1:]])


class ProgressBar:
    """A progress bar on stderr for work of unknown length; silent when not a terminal.

    Use it as a context manager; it is itself a :class:`Progress`.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        console = Console(stderr=True)
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show ``done`` of ``total`` in the line called ``stage``."""
        if stage not in self._tasks:
            # Work that goes on where an earlier run stopped does not begin at 0.
            self._tasks[stage] = self._bar.add_task(
                stage, completed=done, total=total or None, rate=""
            )
        number = self._tasks[stage]
        self._bar.update(number, completed=done, total=total or None)
        speed = next(task.speed for task in self._bar.tasks if task.id == number)
        if speed and stage in _COUNTS_IMAGES:
            self._bar.update(number, rate=f"{speed:.1f} images/s")
