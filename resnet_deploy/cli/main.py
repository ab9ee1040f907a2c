"""The ``resnet-deploy`` command: verbs loaded when called, errors turned into exit codes.

Exit codes: 0 good, 1 a check failed, 2 usage or bad input, 3 an optional package is missing, 70 a
fault of this tool, 129 when the terminal has gone (SIGHUP), 130 interrupted by Ctrl-C, 143 ended by
SIGTERM.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import gc
import importlib
import io
import logging
import os
import signal
import sys
import traceback
from typing import Any

import click

from resnet_deploy.artifact.unfinished import find_temporary_folder
from resnet_deploy.cli.freed_memory import keep_freed_memory
from resnet_deploy.cli.verbosity import verbosity_options
from resnet_deploy.errors import UNEXPECTED, ToldError, TrainingError, verdict_on
from resnet_deploy.processes.interrupts import Interrupts
from resnet_deploy.version import __version__
from resnet_deploy.visible import visible, visible_line, without_secrets

VERBS = {
    "train": "Train a ResNet, or fine-tune one, for export.",
    "export": "Turn a ResNet checkpoint into verified fp32 and int8 ONNX files.",
    "deploy": "Make many nets for many targets, as one file says.",
    "quantize": "Turn an fp32 ONNX file into an int8 one.",
    "tune": "Find the fastest file within an accuracy budget.",
    "verify": "Prove that a file computes what its reference computes.",
    "bench": "Measure files and runners side by side.",
    "evaluate": "Measure top-1 and top-5 accuracy on labelled images.",
    "predict": "Name what is on pictures.",
    "summary": "Show a network as in Table 1 of the paper.",
    "bundle": "Pack a file with the code that runs it in an app, and its self-test.",
    "doctor": "Show what this machine can run, and what is missing.",
}
"""Each verb lives in ``resnet_deploy.cli.<verb>`` as a function called ``command``."""


_NAMED_BY_OPTIONS = {
    "export": "name the checkpoint with --weights",
    "train": "name the pictures with --data, a checkpoint with --weights",
    "evaluate": "name the pictures with --data, another file with --against",
    "quantize": "name the pictures with --calibration",
    "verify": "name the reference with --against, pictures with --data",
    "tune": "name the pictures with --data",
}
"""What to do with one word too many."""

_STOPPED = {"SIGTERM": "terminated", "SIGHUP": "hung up"}


class VisibleFormatter(logging.Formatter):
    """Writes log lines in which nothing steers the terminal; a message is one of them."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of ``record``, and the traceback that it may have."""
        return visible(without_secrets(super().format(record)))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the line alone."""
        return visible_line(super().formatMessage(record))


class _LogOnStderr(logging.Handler):
    """Writes to what is stderr at the time: a progress bar stands in for it to keep lines apart."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line of ``record``."""
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:
            self.handleError(record)


class LazyGroup(click.Group):
    """A group that imports a verb only when it is called or asked for its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which they are used."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's module and return its command."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"resnet_deploy.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; of one that is not there, say which may be meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            begins = [verb for verb in VERBS if verb.startswith(args[0])]
            near = begins or difflib.get_close_matches(args[0], VERBS)
            said = error.message.rstrip(".")
            told = f"Did you mean {near[0]!r}?" if near else "resnet-deploy --help lists them all."
            raise click.UsageError(f"{said}. {told}", error.ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs without importing any of them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; expected errors become one line and an exit code."""
        heard = _LogOnStderr()
        heard.setFormatter(VisibleFormatter("%(message)s"))
        logging.basicConfig(level=logging.WARNING, handlers=[heard])
        # Of a damaged picture Pillow says more than the error that it raises.
        logging.getLogger("PIL").setLevel(logging.CRITICAL)
        # torch swallows the exception while importing itself, and fails later with nonsense.
        interrupts = Interrupts()
        try:
            with interrupts:
                if isinstance(ctx.obj, Interrupts) and ctx.obj.seen is not None:
                    signal.raise_signal(ctx.obj.seen)
                find_temporary_folder()
                return super().invoke(ctx)
        except click.ClickException as error:
            told = visible_line(without_secrets(error.message + _hint(error)))
            error.message = told  # type: ignore[misc]  # click shows no other
            raise
        except (click.exceptions.Exit, click.Abort):
            raise
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            # A verb that something below it ended has done nothing: that is no success.
            if _is_unread(error):
                raise  # click ends quietly when nobody reads the output any more
            error = _lost(error) or error
            if isinstance(error, ToldError):
                ctx.exit(2)
            code, message = _verdict(error, interrupts.seen)
            if code == UNEXPECTED and logging.getLogger("resnet_deploy").isEnabledFor(logging.INFO):
                trace = without_secrets("".join(traceback.format_exception(error)))
                click.echo(visible(trace), err=True, nl=False)
            click.echo(f"resnet-deploy: {visible_line(without_secrets(message))}", err=True)
            ctx.exit(code)


def _is_unread(error: BaseException) -> bool:
    """Whether nobody reads the output any more; of that rich makes an exit."""
    if isinstance(error, SystemExit):
        return isinstance(error.__context__, BrokenPipeError)
    return isinstance(error, OSError) and error.errno == errno.EPIPE


def _hint(error: click.ClickException) -> str:
    """Return what to do with a word too many, to be put behind the message."""
    if not isinstance(error, click.UsageError) or "extra argument" not in error.message:
        return ""
    verb = error.ctx.info_name if error.ctx is not None else None
    hint = _NAMED_BY_OPTIONS.get(verb or "")
    return f": {hint}" if hint else ""


def _lost(error: BaseException | None) -> TrainingError | None:
    """Return the end of a training that was on its way out when ``error`` came in between.

    When torchrun sees that one process is gone it sends SIGTERM to the others, which may know by
    then: what they know is to be told.
    """
    while error is not None and not isinstance(error, TrainingError):
        error = error.__context__
    return error


def _verdict(error: BaseException, stopped_by: signal.Signals | None) -> tuple[int, str]:
    """Return the exit code and the line that ``error`` becomes."""
    interrupted = stopped_by is not None and not isinstance(error, TrainingError)
    if interrupted or isinstance(error, KeyboardInterrupt):
        stopped_by = stopped_by or signal.SIGINT
        how = _STOPPED.get(stopped_by.name, "interrupted")
        # 128 + the signal's number, as a shell reports it.
        return 128 + stopped_by, f"{how}; no file was left half written"
    code, said = verdict_on(error)
    return code, f"error: {said}" if code in (2, 3) else said


_HELP = """Deploy a trained ResNet on CPUs: fast, small, and proven equal.

From a checkpoint to an app:

\b
  resnet-deploy export --weights net.pth --calibration pictures/ -o out
  resnet-deploy evaluate out/NAME.int8.onnx --data labelled/ --against out/NAME.onnx
  resnet-deploy bundle out/NAME.int8.onnx --target cpp -o app
"""


@click.group(
    cls=LazyGroup,
    help=_HELP,
    subcommand_metavar="VERB [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="resnet-deploy")
@verbosity_options
def cli() -> None:
    """Hold the verbs."""


def _open_standard_streams() -> None:
    """Make the three streams usable, whatever was started without them or with few letters.

    Of a stream that is closed the number would go to the next file that is opened, and what a
    library prints would be written into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError):  # of a file that was exchanged under it
                stream.reconfigure(errors="backslashreplace")


def main() -> None:
    """Run the command line; the entry point of the ``resnet-deploy`` script."""
    _open_standard_streams()
    # Never left: a signal that comes when the verb has ended finds all done, and must not keep the
    # interpreter from removing what is temporary.
    outside = Interrupts(spared=sys.maxsize)
    outside.__enter__()
    keep_freed_memory()
    try:
        cli.main(obj=outside)
    finally:
        # At its end Python walks over all objects three times, those of PyTorch's modules as well:
        # half a second in which nothing happens that matters any more.
        gc.freeze()
