import onnxruntime as ort
import pytest

from resnet_deploy.runners.ort_runner import session_options
from resnet_deploy.spec import SessionSpec


def test_every_session_switches_telemetry_off(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(ort, "disable_telemetry_events", lambda: calls.append("off"))
    session_options(SessionSpec())
    assert calls == ["off"]
