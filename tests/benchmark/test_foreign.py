"""The table of ``bench/foreign.py``, which is not a package of this project's: loaded by path."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def foreign() -> Any:
    spec = importlib.util.spec_from_file_location("foreign", ROOT / "bench" / "foreign.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules["foreign"] = loaded  # dataclasses look their module up
    spec.loader.exec_module(loaded)
    yield loaded
    del sys.modules["foreign"]


def row(**more: Any) -> dict[str, Any]:
    return {"net": "n", "source": "timm", "said": "", **more}


def test_a_row_says_what_the_user_got(foreign: Any) -> None:
    faster = {
        "speed_up": {"median": 2.349, "low": 2.0, "high": 2.5, "minima": 2.3},
        "fp32_ms": 10.04,
        "int8_ms": 4.26,
        "sqnr_db": 30.27,
        "agreement": 0.995,
        "float_operators": ["Erf of a"],
    }
    nets = [row(exit_code=0, **faster), row(exit_code=0, float_operators=[])]
    nets += [row(exit_code=code) for code in (1, 2, 70, None)]
    environment = {"cpu": "X", "versions": {"onnxruntime": "1.0"}}
    lines = foreign.table({"environment": environment, "nets": nets}).splitlines()
    assert lines[0] == "X, ONNX Runtime 1.0, one thread, batch size 1."
    cells = "1 | 10.0 ms | 4.3 ms | 2.35x (2.00 to 2.50) | 30.3 dB | 100%"
    assert lines[4] == f"| n | timm | int8 | {cells} |"
    results = [line.split(" | ")[2] for line in lines[5:]]
    assert results == ["keep fp32", "refused", "refused", "failed", "failed"]


def test_the_page_holds_the_recorded_run(foreign: Any) -> None:
    if not foreign.RESULT.exists():
        pytest.skip("no run is recorded")
    page = foreign.PAGE.read_text(encoding="utf-8")
    assert foreign.with_table(page, foreign.table(json.loads(foreign.RESULT.read_bytes()))) == page


def test_a_page_without_markers_is_refused(foreign: Any) -> None:
    with pytest.raises(ValueError, match="between"):
        foreign.with_table("nothing", "block")


def test_nets_have_titles_of_their_own(foreign: Any) -> None:
    assert len({net.title for net in foreign.NETS}) == len(foreign.NETS) >= 20
