"""A run that is stopped at any moment leaves whole files or none."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from resnet_deploy.artifact.files import sha256_of
from resnet_deploy.artifact.onnx_file import load
from tests.support.forks import FORKS, work


def stopped(folder: Path, seconds: float, stop: signal.Signals) -> tuple[int, str]:
    """Return how an export ended, and what it said, that got a signal after some time."""
    command = [sys.executable, "-m", "resnet_deploy", "export", "--depth", "8", "-o", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(seconds)
    process.send_signal(stop)
    _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr


def stopped_beside_torch(
    folder: Path, seconds: float, stop: signal.Signals, said: Path
) -> tuple[int, str]:
    """Return the same of one that need not import PyTorch: its work begins at once."""
    words = ("export", "--depth", "8", "-o", str(folder))
    process = FORKS.Process(target=work, args=(words, folder, dict(os.environ), said))
    process.start()
    while not (said / "stderr").exists():  # it listens to signals from then on
        time.sleep(0.01)
    time.sleep(seconds)
    assert process.pid is not None
    if process.is_alive():
        os.kill(process.pid, stop)
    process.join(60)
    assert process.exitcode is not None
    return process.exitcode, (said / "stderr").read_text("utf-8")


@pytest.mark.parametrize(
    ("how", "seconds"), [("alone", 0.5), ("forked", 0.3), ("forked", 1.2), ("forked", 2.1)]
)
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_existing_files_stay_as_they_were(
    how: str, seconds: float, stop: signal.Signals, tiny_export: Path, tmp_path: Path
) -> None:
    """While it imports, and while it works."""
    folder, said = tmp_path / "files", tmp_path / "said"
    shutil.copytree(tiny_export, folder)
    said.mkdir()
    before = {path.name: sha256_of(path) for path in folder.iterdir()}

    if how == "alone":
        code, stderr = stopped(folder, seconds, stop)
    else:
        code, stderr = stopped_beside_torch(folder, seconds, stop, said)

    # The same request writes the same bytes, so finishing early changes nothing either.
    after = {path.name: sha256_of(path) for path in folder.iterdir() if path.suffix == ".onnx"}
    assert after == before
    for path in folder.glob("*.onnx"):
        load(path)
    if stop is signal.SIGINT and code != 0:
        assert "Traceback" not in stderr
        assert code in (130, -signal.SIGINT)
