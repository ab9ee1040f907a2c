from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from resnet_deploy.processes import one_shot


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("import sys; sys.stderr.write('a warning')", ""),
        ("import os; os.abort()", "signal 6"),
        ("raise SystemExit(7)", "exit code 7"),
        ("raise ValueError('no such thing')", "ValueError: no such thing"),
        ("import sys; sys.exit('the reason\\nsome noise\\n')", "the reason"),
    ],
)
def test_a_failure_is_one_line(code: str, failure: str) -> None:
    assert one_shot.run(python(code), noise="noise").failure == failure


def test_folder_environment_and_lines(tmp_path: Path) -> None:
    code = "import os; print(os.getcwd()); print(os.environ['WORD'], input.__name__)"
    seen: list[str] = []
    ended = one_shot.run(
        python(code), folder=tmp_path, environment={"WORD": "hello"}, on_line=seen.append
    )
    assert ended == one_shot.Ended(0, "")
    assert seen == [f"{tmp_path}\n", "hello input\n"]


def test_what_takes_too_long_is_ended() -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"^it took more than 1 s$"):
        one_shot.run(python("import time; time.sleep(60)"), timeout=1)
    assert time.monotonic() - started < 30


def test_an_exception_of_the_listener_ends_it() -> None:
    def refuse(line: str) -> None:
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        one_shot.run(python("import time; print('a', flush=True); time.sleep(60)"), on_line=refuse)
    assert time.monotonic() - started < 30
