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


def test_unknown_verbs_and_options_are_usage_errors() -> None:
    assert CliRunner().invoke(cli, ["explode"]).exit_code == 2
    assert CliRunner().invoke(cli, ["export", "--explode"]).exit_code == 2


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
    ids=["Ctrl-C", "SIGTERM"],
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
