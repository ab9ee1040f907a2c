"""A virtual environment for each peer, from the versions that its ``.txt`` file pins."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BENCH = HERE.parent
VENVS = BENCH / ".venvs"
_SECONDS = 1800

# Peers may not send reports of their use anywhere, nor look for models outside.
_SILENCE = {
    "OLIVE_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "CI": "true",  # what OpenVINO's telemetry looks at
}


def python_of(venv: str) -> str:
    """Return the interpreter of the environment ``venv``; empty is this one."""
    return str(VENVS / venv / "bin" / "python") if venv else sys.executable


def variables() -> dict[str, str]:
    """Return the environment variables that all peers run with."""
    paths = os.pathsep.join((str(BENCH), str(BENCH.parent)))
    cache = str(VENVS / "inductor-cache")
    return {**os.environ, **_SILENCE, "PYTHONPATH": paths, "TORCHINDUCTOR_CACHE_DIR": cache}


def set_up(venv: str) -> str:
    """Make the environment if it is missing or its pins changed; return why it can't be made."""
    pins = HERE / f"{venv}.txt"
    marker = VENVS / venv / ".pins"
    digest = hashlib.sha256(pins.read_bytes()).hexdigest()
    if marker.exists() and marker.read_text(encoding="ascii") == digest:
        return ""
    install = [python_of(venv), "-m", "pip", "install", "--quiet", "-r", str(pins)]
    try:
        make = [sys.executable, "-m", "venv", str(VENVS / venv)]
        subprocess.run(make, check=True, capture_output=True, timeout=_SECONDS)
        subprocess.run(install, check=True, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.CalledProcessError as error:
        return f"install: {last_line(error.stderr)}"
    except subprocess.TimeoutExpired:
        return f"install: not done after {_SECONDS} s"
    marker.write_text(digest, encoding="ascii")
    return ""


def last_line(text: str | bytes | None) -> str:
    """Return the last line that says something, shortened, without paths of this machine."""
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    line = lines[-1] if lines else "no message"
    return line.replace(str(BENCH.parent) + os.sep, "")[:160]
