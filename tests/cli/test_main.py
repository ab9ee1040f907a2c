"""The command line as a whole: every verb answers, light to start, errors in one line."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

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
