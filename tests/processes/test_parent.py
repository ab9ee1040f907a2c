"""A child process is asked, and what becomes of one that misbehaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from resnet_deploy import errors
from resnet_deploy.errors import DatasetError, RunnerError
from resnet_deploy.processes.messages import of_array, to_array
from resnet_deploy.processes.parent import ChildProcess

SERVER = """
import os, time
from resnet_deploy import errors
from resnet_deploy.processes.messages import Message, serve

class PrivateError(errors.ResnetDeployError):
    pass

def refuse(fields, data):
    raise {"dataset": errors.DatasetError, "private": PrivateError}[fields["kind"]]("no such data")

def noisy(fields, data):
    print("printed", flush=True)
    os.write(1, b"written")
    return Message("quiet")

serve({
    "echo": lambda fields, data: Message(fields["value"], data),
    "refuse": refuse,
    "noisy": noisy,
    "sleep": lambda fields, data: Message(time.sleep(99)),
    "divide": lambda fields, data: Message(1 / 0),
})
"""


def started(folder: Path, code: str = SERVER, timeout: float | None = None) -> ChildProcess:
    command = [sys.executable, "-c", code]
    return ChildProcess(
        command, folder, "it", timeout=timeout, late_advice=": hurry", dead_advice="; try again"
    )


def test_values_and_bytes_come_back_in_order(tmp_path: Path) -> None:
    data = np.arange(300_000, dtype=np.int64)[::2].reshape(3, -1)  # more than a pipe holds
    sent = of_array(data)
    with started(tmp_path) as child:
        for number in range(3):
            found = child.ask("echo", {"value": [number, sent.value]}, sent.data)
            assert found.value[0] == number
            assert np.array_equal(to_array(found.value[1], found.data), data)
        pid = child.pid
    assert not psutil.pid_exists(pid)


def test_own_errors_keep_their_class_and_do_not_end_the_child(tmp_path: Path) -> None:
    with started(tmp_path) as child:
        with pytest.raises(DatasetError, match=r"^no such data$"):
            child.ask("refuse", {"kind": "dataset"})
        with pytest.raises(RunnerError, match=r"^no such data$"):
            child.ask("refuse", {"kind": "private"})
        assert child.ask("echo", {"value": 1}).value == 1
    assert not hasattr(errors, "PrivateError")


def test_what_a_library_prints_does_not_garble_the_answers(tmp_path: Path) -> None:
    request = '{"do": "noisy", "bytes": 0}\n'
    command = [sys.executable, "-c", SERVER]
    done = subprocess.run(command, input=request, capture_output=True, text=True, check=True)
    assert done.stdout == '{"ok": "quiet", "bytes": 0}\n'
    assert "printed" in done.stderr
    assert "written" in done.stderr


def test_any_other_exception_ends_the_child_which_is_said_again(tmp_path: Path) -> None:
    says = r"^it: its process died \(exit code 1\): ZeroDivisionError: .*zero; try again$"
    with started(tmp_path) as child:
        for _ in range(2):
            with pytest.raises(RunnerError, match=says):
                child.ask("divide")


def test_a_child_that_is_late_is_ended(tmp_path: Path) -> None:
    with (
        started(tmp_path, timeout=3.0) as child,
        pytest.raises(RunnerError, match=r"^it did not answer within 3 s and was ended: hurry$"),
    ):
        child.ask("sleep")
    assert not psutil.pid_exists(child.pid)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import os; os.abort()", r"its process died \(signal 6\); try again$"),
        ("raise SystemExit('no memory')", r"died \(exit code 1\): no memory; try again$"),
        ("import os, time; os.close(1); time.sleep(99)", r"died \(signal 9\); try again$"),
        ("input(); print('hello')", r"wrote 'hello' instead of an answer$"),
        ("input(); print('[1]')", r"wrote '\[1\]' instead of an answer$"),
        ("input(); print('{}')", r"wrote '\{\}' instead of an answer$"),
        ("input(); print('{\"ok\": 1, \"bytes\": 5}\\nab', end='')", r"died \(exit code 0\)"),
    ],
)
def test_a_child_that_dies_or_babbles_is_one_line(code: str, says: str, tmp_path: Path) -> None:
    with started(tmp_path, code) as child, pytest.raises(RunnerError, match=says) as caught:
        child.ask("echo")
    assert "\n" not in str(caught.value)
    assert not psutil.pid_exists(child.pid)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("print('hello')", r"wrote 'hello' instead of an answer$"),
        ('print(\'{"error": "DatasetError", "message": "no picture"}\')', r"^no picture$"),
        ("print('{\"ok\": 1}')", r"died \(exit code 0\)"),
        ("raise SystemExit(3)", r"died \(exit code 3\)"),
    ],
)
def test_a_child_that_ends_before_it_is_asked(code: str, says: str, tmp_path: Path) -> None:
    with started(tmp_path, code) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(errors.ResnetDeployError, match=says):
            child.ask("echo")


def test_ctrl_c_is_the_parents(tmp_path: Path) -> None:
    with started(tmp_path) as child:
        assert child.ask("echo", {"value": 1}).value == 1
        psutil.Process(child.pid).send_signal(signal.SIGINT)
        assert child.ask("echo", {"value": 2}).value == 2


def test_leaving_by_an_exception_ends_the_child_at_once(tmp_path: Path) -> None:
    code = "import time; time.sleep(99)"
    with pytest.raises(KeyboardInterrupt), started(tmp_path, code) as child:
        raise KeyboardInterrupt
    assert not psutil.pid_exists(child.pid)
