"""What stdin, stdout and stderr may be: closed, full, without a reader, or for ASCII alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
import click
import resnet_deploy.cli.doctor
from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.cli import main
from resnet_deploy.errors import SpecError
from pathlib import Path

@click.command()
@click.argument("out", type=Path)
@click.option("--fail", is_flag=True)
def verb(out, fail):
    import os
    stream = out.open("wb")
    assert stream.fileno() > 2, stream.fileno()
    os.write(1, b"a library prints\\n")
    click.echo("caf\\u00e9 \\u2265 1 \\u4e2d")
    stream.close()
    write_atomically(out, b"whole")
    if fail:
        raise SpecError("caf\\u00e9 is wrong")

resnet_deploy.cli.doctor.command = verb
sys.argv = ["resnet-deploy", "doctor", *sys.argv[1:]]
main.main()
"""


def started(
    redirections: str, out: Path, *options: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    script = f'exec "$0" -c "$1" "$2" {" ".join(options)} {redirections}'
    return subprocess.run(
        ["/bin/sh", "-c", script, sys.executable, CODE, str(out)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_no_file_of_ours(closed: str, tmp_path: Path) -> None:
    done = started(closed, tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out").read_bytes() == b"whole"


def test_an_error_without_stderr_still_has_its_code(tmp_path: Path) -> None:
    assert started("2>&-", tmp_path / "out", "--fail").returncode == 2


def test_a_full_disk_behind_stdout_is_told(tmp_path: Path) -> None:
    done = started("> /dev/full", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["resnet-deploy: error: No space left on device"]


def test_nobody_reads_any_more(tmp_path: Path) -> None:
    done = started("| true", tmp_path / "out")
    assert done.stderr == ""


@pytest.mark.parametrize(
    "environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}]
)
def test_letters_that_a_stream_has_not_are_spelled(
    environment: dict[str, str], tmp_path: Path
) -> None:
    done = started("", tmp_path / "out", "--fail", **environment)
    assert done.returncode == 2, done.stderr
    assert done.stdout.startswith("a library prints\ncaf")
    assert done.stderr.startswith("resnet-deploy: error: caf")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_utf_8_whatever_the_terminal_is(encoding: str, tmp_path: Path) -> None:
    from tests.support.tiny_model import save_colour_model

    path = tmp_path / "caf\u00e9 \u4e2d.onnx"
    save_colour_model(path)
    done = subprocess.run(
        [sys.executable, "-m", "resnet_deploy", "summary", str(path), "--json"],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    assert "caf\u00e9 \u4e2d" in json.dumps(json.loads(done.stdout.decode()), ensure_ascii=False)
