"""Processes of this machine that work on shards: each request is answered, whatever they say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from resnet_deploy.processes.local_pool import LocalPool

_SAYS = """
import sys
sys.stdin.buffer.readline()
sys.stdout.buffer.write({!r})
sys.stdout.buffer.flush()
"""


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b'{"ok": 1, "bytes": 3}\nabc', "unpickling stack underflow"),
        (b'{"ok": 1, "bytes": 0}\n', "Ran out of input"),
        (b'{"error": "DatasetError", "message": "none"}\n', "none"),
        (b"hello\n", "a worker: its process wrote 'hello' instead of an answer"),
        (b"", "a worker: its process died (exit code 0)"),
    ],
)
def test_what_is_no_answer_is_a_lost_worker(said: bytes, why: str, tmp_path: Path) -> None:
    """Else the run would wait for it without an end."""
    command = (sys.executable, "-S", "-c", _SAYS.format(said))
    job: int = 0
    with LocalPool(job, 1, 1, tmp_path, command) as pool:  # type: ignore[arg-type,var-annotated]
        ticket = pool.start(0)
        (answer,) = pool.wait(20)
    assert (answer.ticket, answer.lost) == (ticket, why)
