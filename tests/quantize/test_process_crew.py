from __future__ import annotations

import sys

import numpy as np
import pytest

from resnet_deploy.errors import RunnerError
from resnet_deploy.quantize.process_crew import ProcessCrew


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import os; os.abort()", "died .signal 6."),
        ("raise SystemExit(3)", "died .exit code 3."),
        ("raise ValueError('no memory')", "ValueError: no memory"),
        ("print('hello')", "something else than an answer"),
        ('print(\'{"error": "SystemExit", "message": "odd", "bytes": 0}\')', "odd"),
    ],
)
def test_a_worker_that_misbehaves_is_one_line(code: str, says: str) -> None:
    with pytest.raises(RunnerError, match=says) as caught:
        ProcessCrew(b"", ["x"], 2, 2, command=[sys.executable, "-c", code])
    assert "\n" not in str(caught.value)


def test_a_model_that_is_refused() -> None:
    with pytest.raises(RunnerError, match="refuses"):
        ProcessCrew(b"nonsense", ["x"], 2, 2)


def test_a_worker_that_dies_while_idle() -> None:
    code = """
import sys
sys.stdin.readline()
print('{"bytes": 0}')
"""
    with ProcessCrew(b"", ["x"], 1, 1, command=[sys.executable, "-c", code]) as crew:
        crew.add(np.zeros((1, 3, 4, 4), np.float32))
        with pytest.raises(RunnerError, match="a calibration worker died"):
            crew.collect()
