"""A process that waits in C++ code still says why it ends."""

import signal
import subprocess
import sys
import time

SCRIPT = """
import hashlib, signal, time
from resnet_deploy.processes.interrupts import last_words

heard = []

def note(number, frame):
    heard.append(number)
    print("heard", flush=True)

signal.signal(signal.SIGTERM, note)
with last_words("resnet-deploy: error: gone", seconds={seconds}):
    print("ready", flush=True)
    {block}
print("over", flush=True)
"""
DEAF = "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"  # minutes, without the interpreter
LISTENING = "while not heard: time.sleep(0.01)"


def told_to_end(block: str, seconds: float) -> tuple[int, list[str], list[str]]:
    """Return exit code, output and errors of a process that gets SIGTERM in ``block``."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(block=block, seconds=seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)  # until it is in the block
    process.send_signal(signal.SIGTERM)
    printed, errors = process.communicate(timeout=60)
    return process.returncode, printed.splitlines(), errors.splitlines()


def test_a_deaf_process_has_last_words() -> None:
    assert told_to_end(DEAF, 0.2) == (2, [], ["resnet-deploy: error: gone"])


def test_a_process_that_listens_ends_in_its_own_way() -> None:
    assert told_to_end(LISTENING, 30) == (0, ["heard", "over"], [])


def test_nothing_is_said_without_a_signal_or_after_the_block() -> None:
    late = "signal.raise_signal(signal.SIGTERM); time.sleep(0.5)"
    script = SCRIPT.format(block="pass", seconds=0.2) + late
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert (done.stdout.split(), done.stderr) == (["ready", "over", "heard"], "")
