from __future__ import annotations

import json
import logging
import unicodedata

from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.cli.main import VisibleFormatter, cli
from resnet_deploy.visible import visible, visible_json

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
    shown = visible_json(json.dumps([text], ensure_ascii=False))
    assert json.loads(shown) == [text]
    assert not any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in shown)


def test_errors_and_logs_steer_no_terminal(tmp_path):
    path = tmp_path / "a\x1b]0;title\x07.onnx"
    for arguments in (["summary", str(path)], ["bench", str(path)]):
        told = CliRunner().invoke(cli, arguments)
        assert told.exit_code == 2
        assert "\x1b" not in told.stderr
        assert "\\x1b]0;title\\x07.onnx" in told.stderr
    record = logging.LogRecord("name", logging.WARNING, "", 0, "%s\n", (HOSTILE[:5],), None)
    assert VisibleFormatter("%(message)s").format(record) == "a\\x1b[31\n"
