from __future__ import annotations

import json
import logging
import os
import shlex
import subprocess
import unicodedata

from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.cli.main import VisibleFormatter, cli
from resnet_deploy.visible import operand, shell_line, visible, visible_json, visible_line
from tests.support.hostile import NAMES

HOSTILE = "a\x1b[31m\x07\x9b\u202eb\u2028c\ud800\r\n"


def test_what_a_terminal_obeys_is_spelled():
    assert visible(HOSTILE) == "a\\x1b[31m\\x07\\x9b\\u202eb\\u2028c\\ud800\\r\n"
    assert visible("Größe 貓 🐈 \\x1b") == "Größe 貓 🐈 \\x1b"


@given(st.text(st.characters(codec=None)))
def test_nothing_else_changes(text):
    shown = visible(text)
    assert not any(unicodedata.category(c) in ("Cc", "Cs") for c in shown.replace("\n", ""))
    assert visible(shown) == shown


@given(st.text(st.characters(codec=None)))
def test_json_keeps_its_values(text):
    shown = visible_json([text]).decode().replace("\n", "")
    assert json.loads(shown) == [text.encode(errors="replace").decode()]
    assert not any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in shown)


def test_errors_and_logs_steer_no_terminal(tmp_path):
    path = tmp_path / "a\x1b]0;title\x07.onnx"
    for arguments in (["summary", str(path)], ["bench", str(path)]):
        told = CliRunner().invoke(cli, arguments)
        assert told.exit_code == 2
        assert "\x1b" not in told.stderr
        assert "\\x1b]0;title\\x07.onnx" in told.stderr
    record = logging.LogRecord("name", logging.WARNING, "", 0, "%s\n", (HOSTILE[:5],), None)
    assert VisibleFormatter("%(message)s").format(record) == "a\\x1b[31\\n"


def test_a_message_is_one_line_whatever_its_names_are(tmp_path):
    told = CliRunner().invoke(cli, ["summary", str(tmp_path / "a\nPASS  equal.onnx")])
    assert told.exit_code == 2
    assert told.stderr.count("\n") == 1
    assert "\n" not in told.stderr.rstrip("\n")
    assert visible_line("a\nb") == "a\\nb"


def test_a_shell_hands_over_the_very_words(tmp_path):
    words = [*NAMES, "", "not utf-8 \udcff\udcfe\n", "plain-1.0/x=y,z"]
    line = shell_line(["printf", r"%s\0", *words])
    assert visible_line(line) == line
    # As a user with another locale, in a folder of its own.
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, env={"LC_ALL": "C"}, capture_output=True, check=True
    )
    assert done.stderr == b""
    assert done.stdout == b"".join(os.fsencode(word) + b"\0" for word in words)
    assert list(tmp_path.iterdir()) == []
    assert shell_line(["a", "b c"]) == shlex.join(["a", "b c"])


def test_no_path_is_an_option():
    assert [operand(path) for path in ("a/b", "-rf", "--help")] == ["a/b", "./-rf", "./--help"]
