from __future__ import annotations

import sys

import numpy as np
import pytest

from resnet_deploy.errors import RunnerError
from resnet_deploy.quantization.observers import process_observers


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import os; os.abort()", r"died .signal 6.; use fewer --workers"),
        ("raise SystemExit(3)", "died .exit code 3."),
        ("raise ValueError('no memory')", "ValueError: no memory"),
        ("print('hello')", "wrote 'hello' instead of an answer"),
        ('print(\'{"error": "SystemExit", "message": "odd", "bytes": 0}\')', "odd"),
    ],
)
def test_a_child_that_misbehaves_is_one_line(code: str, says: str) -> None:
    command = [sys.executable, "-c", code]
    with (
        pytest.raises(RunnerError, match=says) as caught,
        process_observers(b"", ["x"], 2, 2, command),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_a_model_that_is_refused() -> None:
    with (
        pytest.raises(RunnerError, match="refuses"),
        process_observers(b"nonsense", ["x"], 2, 2),
    ):
        pass


def test_a_worker_that_dies_while_idle() -> None:
    code = """
import sys
sys.stdin.readline()
print('{"ok": null, "bytes": 0}')
"""
    with process_observers(b"", ["x"], 1, 1, [sys.executable, "-c", code]) as engine:
        engine.submit(np.zeros((1, 3, 4, 4), np.float32))
        with pytest.raises(RunnerError, match="a calibration worker: its process died"):
            engine.collect()
