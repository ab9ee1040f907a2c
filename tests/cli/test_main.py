"""The command line as a whole: every verb answers, light to start, errors in one line."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import resnet_deploy.cli.doctor
from resnet_deploy.cli.main import VERBS, cli

HEAVY = ("torch", "onnx", "onnxruntime", "numpy", "PIL", "rich", "onnx_ir", "psutil", "cattrs")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str) -> None:
    result = CliRunner().invoke(cli, [verb, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith("Usage:")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([verb, "-h"] for verb in VERBS)]
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from resnet_deploy.cli.main import cli\n"
        f"try: cli.main({arguments!r})\n"
        "except SystemExit: pass\n"
        f"print(sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_what_ends_the_program_below_a_verb_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def leaving() -> None:
        sys.exit(0)

    monkeypatch.setattr(resnet_deploy.cli.doctor, "command", leaving)
    result = CliRunner().invoke(cli, ["doctor"])
    assert result.exit_code == 70
    assert result.stderr.startswith("resnet-deploy: internal error: SystemExit: 0")


def test_output_that_nobody_reads_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a closed pipe rich makes an exit."""

    @click.command()
    def unread() -> None:
        try:
            raise BrokenPipeError
        except BrokenPipeError:
            sys.exit(1)

    monkeypatch.setattr(resnet_deploy.cli.doctor, "command", unread)
    result = CliRunner().invoke(cli, ["doctor"])
    assert (result.exit_code, result.stderr) == (1, "")


def test_unknown_verbs_and_options_are_usage_errors() -> None:
    assert CliRunner().invoke(cli, ["explode"]).exit_code == 2
    assert CliRunner().invoke(cli, ["export", "--explode"]).exit_code == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["xport"], "Did you mean 'export'?"),
        (["eval"], "Did you mean 'evaluate'?"),
        (["help"], "resnet-deploy --help lists them all."),
        (["export", "net.pth"], "name the checkpoint with --weights"),
        (["evaluate", __file__, "pictures", "--data", "."], "name the pictures with --data"),
    ],
)
def test_what_is_meant_is_named(words: list[str], told: str) -> None:
    said = CliRunner().invoke(cli, words)
    assert said.exit_code == 2
    assert said.stderr.rstrip().endswith(told) or f": {told}" in said.stderr


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 129, "hung up"),
    ],
    ids=["Ctrl-C", "SIGTERM", "SIGHUP"],
)
@pytest.mark.parametrize("swallowed", [False, True])
def test_a_signal_cleans_up_and_is_told_by_the_exit_code(
    number: signal.Signals,
    code: int,
    word: str,
    swallowed: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    @click.command()
    def killed() -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path):
            try:
                os.kill(os.getpid(), number)
            except KeyboardInterrupt:
                if swallowed:  # as torch does, which then fails with something else
                    raise OSError("nonsense") from None
                raise

    before = signal.getsignal(number)
    monkeypatch.setattr(resnet_deploy.cli.doctor, "command", killed)
    result = CliRunner().invoke(cli, ["doctor"])
    assert result.exit_code == code
    assert result.stderr == f"resnet-deploy: {word}; no file was left half written\n"
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("module", ["click", "logging"])
def test_ctrl_c_while_the_command_line_is_imported_is_one_line(module: str, tmp_path: Path) -> None:
    stand_in = (
        "import os, signal\ntry: os.kill(os.getpid(), signal.SIGINT)\n"
        "except BaseException: raise RuntimeError"  # as a class body makes of it
    )
    (tmp_path / f"{module}.py").write_text(stand_in)
    package = Path(resnet_deploy.cli.doctor.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "resnet_deploy", "doctor"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{package}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == "resnet-deploy: interrupted; no file was left half written\n"
    assert done.returncode == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=["&", "nohup"])
def test_a_signal_that_the_shell_ignores_stays_ignored(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def killed() -> None:
        os.kill(os.getpid(), number)
        click.echo("done")

    monkeypatch.setattr(resnet_deploy.cli.doctor, "command", killed)
    before = signal.signal(number, signal.SIG_IGN)
    try:
        result = CliRunner().invoke(cli, ["doctor"])
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)
    assert (result.exit_code, result.output) == (0, "done\n")


WITHOUT_A_VERB = """
import atexit, os, signal, sys, tempfile
from pathlib import Path
import click
import resnet_deploy.cli.doctor
from resnet_deploy.artifact.unfinished import Scratch
from resnet_deploy.cli import main

kept = []

@click.command()
def verb():
    kept.append(Scratch())

class Before(main.LazyGroup):
    def invoke(self, ctx):
        os.kill(os.getpid(), {number})
        return super().invoke(ctx)

resnet_deploy.cli.doctor.command = verb
if {before}:
    main.cli.__class__ = Before
else:
    atexit.register(lambda: os.kill(os.getpid(), {number}))
sys.argv = ["resnet-deploy", "doctor"]
main.main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("before", [True, False], ids=["before it", "after it"])
def test_a_signal_outside_of_the_verb(number: signal.Signals, before: bool, tmp_path: Path) -> None:
    code = WITHOUT_A_VERB.format(number=int(number), before=before)
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    # What was asked for is done by then, and what is temporary still has to go.
    assert done.returncode == (128 + number if before else 0), done.stderr
    assert len(done.stderr.splitlines()) == before
    assert not list(tmp_path.iterdir())
