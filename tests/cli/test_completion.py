"""Completion in a real bash, by the script that click writes for it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.markdown import ROOT

_MODULES = """
import sys
from resnet_deploy.cli.main import cli
try:
    cli.main(prog_name="resnet-deploy")
finally:
    heavy = {"numpy", "onnx", "onnxruntime", "PIL", "rich", "torch"} & set(sys.modules)
    assert not heavy, heavy
"""


def environment(folder: Path) -> dict[str, str]:
    """An environment in which ``resnet-deploy`` is that of this folder."""
    program = folder / "resnet-deploy"
    start = "from resnet_deploy.cli.main import main; main()"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n{start}\n",
        encoding="utf-8",
    )
    program.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        # Compiled once, as where pip installed it.
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
    }


@pytest.fixture(scope="module")
def bash(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a bash that has sourced the script as the page says."""
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    return environment(tmp_path_factory.mktemp("bin"))


def completed(bash: dict[str, str], *words: str) -> list[str]:
    """What bash offers for the last of ``words``."""
    script = f"""
        eval "$(_RESNET_DEPLOY_COMPLETE=bash_source resnet-deploy)"
        compopt() {{ printf 'compopt %s %s\n' "$@"; }}  # works within a completion alone
        COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}
        $(complete -p resnet-deploy | sed 's/.*-F \\([^ ]*\\).*/\\1/') resnet-deploy
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "-uc", script], env=bash, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


def test_verbs(bash: dict[str, str]) -> None:
    assert completed(bash, "resnet-deploy", "e") == ["export", "evaluate"]


def test_options_and_their_values(bash: dict[str, str]) -> None:
    assert completed(bash, "resnet-deploy", "export", "--sho") == ["--shortcut"]
    targets = ["cpp", "mobile", "node", "web", "triton"]
    assert completed(bash, "resnet-deploy", "bundle", "a.onnx", "--target", "") == targets


def test_words_or_files(bash: dict[str, str]) -> None:
    weights = ("resnet-deploy", "export", "--weights")
    assert completed(bash, *weights, "im") == ["compopt -o default", "imagenet"]
    assert completed(bash, *weights, "runs/") == ["compopt -o default", ""]
    assert completed(bash, "resnet-deploy", "bench", "--json", "x")[0] == "compopt -o default"


@pytest.mark.parametrize("words", [["resnet-deploy", ""], ["resnet-deploy", "export", "--"]])
def test_nothing_heavy_is_imported_for_it(words: list[str]) -> None:
    asking = {
        "_RESNET_DEPLOY_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-c", _MODULES],
        env={**os.environ, **asking},
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    assert done.stdout.count(b"plain,") > 10
