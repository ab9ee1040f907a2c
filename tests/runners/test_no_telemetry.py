from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnxruntime as ort
import pytest

from resnet_deploy.runners.ort_runner import session_options
from resnet_deploy.spec import SessionSpec
from tests.support.homes import empty_home, left_in

NET = Path(__file__).parents[2] / "artifacts/resnet20-cifar10.onnx"


def test_every_session_switches_telemetry_off(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(ort, "disable_telemetry_events", lambda: calls.append("off"))
    session_options(SessionSpec())
    assert calls == ["off"]


def test_onnxruntime_has_nothing_to_send(tmp_path: Path) -> None:
    """Its telemetry begins with files: an identifier of the machine and a queue of events."""
    code = (
        "import sys; from pathlib import Path\n"
        "from resnet_deploy.runners.ort_runner import OrtRunner\n"
        "from resnet_deploy.spec import SessionSpec\n"
        "OrtRunner(Path(sys.argv[1]), SessionSpec()).close()\n"
    )
    command = [sys.executable, "-c", code, str(NET)]
    subprocess.run(command, env=empty_home(tmp_path), check=True)
    assert left_in(tmp_path) == []
