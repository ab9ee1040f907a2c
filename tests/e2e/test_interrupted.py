"""A run that is stopped at any moment leaves whole files or none."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from resnet_deploy.artifact.files import sha256_of
from resnet_deploy.artifact.onnx_file import load


def export(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "resnet_deploy", "export", "--depth", "8", "-o", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("seconds", [0.5, 2.0, 3.5, 5.0])
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_existing_files_stay_as_they_were(
    seconds: float, stop: signal.Signals, tiny_export: Path, tmp_path: Path
) -> None:
    for path in tiny_export.iterdir():
        shutil.copy(path, tmp_path)
    before = {path.name: sha256_of(path) for path in tmp_path.iterdir()}

    process = export(tmp_path)
    time.sleep(seconds)
    process.send_signal(stop)
    _, stderr = process.communicate(timeout=60)

    # The same request writes the same bytes, so finishing early changes nothing either.
    after = {path.name: sha256_of(path) for path in tmp_path.iterdir() if path.suffix == ".onnx"}
    assert after == before
    for path in tmp_path.glob("*.onnx"):
        load(path)
    if stop is signal.SIGINT and process.returncode != 0:
        assert "Traceback" not in stderr
        assert process.returncode in (130, -signal.SIGINT)
