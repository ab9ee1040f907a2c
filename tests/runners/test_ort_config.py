from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from resnet_deploy.errors import SpecError
from resnet_deploy.runners.ort_config import (
    ORT_CONFIG_KEY,
    TRAVELLING,
    ort_config,
    set_ort_config,
)
from resnet_deploy.spec import Optimization, SessionSpec
from tests.support.runner_graphs import cnn

_OPEN = """
import json, sys
import onnxruntime as ort
asked = ort.SessionOptions()
asked.inter_op_num_threads = 4
asked.optimized_model_filepath = "optimized.onnx"
session = ort.InferenceSession(sys.argv[1], asked, providers=["CPUExecutionProvider"])
got = session.get_session_options()
print(json.dumps({
    "intra_op_num_threads": got.intra_op_num_threads,
    "inter_op_num_threads": got.inter_op_num_threads,
    "execution_mode": int(got.execution_mode),
    "graph_optimization_level": int(got.graph_optimization_level),
    "enable_profiling": int(got.enable_profiling),
}))
"""


def opened(model: Path, variable: str) -> dict[str, int]:
    """Return the options of a session that a plain program opens on ``model``."""
    done = subprocess.run(
        [sys.executable, "-c", _OPEN, model.name],
        env={**os.environ, "ORT_LOAD_CONFIG_FROM_MODEL": variable},
        cwd=model.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, int] = json.loads(done.stdout)
    return found


def test_onnxruntime_loads_the_options_from_the_file(tmp_path: Path):
    path = cnn(tmp_path / "m.onnx")
    model = onnx.load(path)
    model.metadata_props.add(key="other", value="kept")
    spec = SessionSpec(
        threads=3,
        optimization=Optimization.OFF,
        options=(("execution_mode", "parallel"), ("enable_profiling", "1")),
    )
    set_ort_config(model, SessionSpec())
    set_ort_config(model, spec)  # in place of the first
    onnx.save(model, path)
    assert [entry.key for entry in model.metadata_props] == ["other", ORT_CONFIG_KEY]

    assert opened(path, "1") == {
        "intra_op_num_threads": 3,
        "inter_op_num_threads": 0,  # the program's own is replaced, too
        "execution_mode": 1,
        "graph_optimization_level": 0,
        "enable_profiling": 1,
    }
    assert list(tmp_path.glob("onnxruntime_profile*.json"))
    assert not (tmp_path / "optimized.onnx").exists()

    assert opened(path, "0")["inter_op_num_threads"] == 4
    assert (tmp_path / "optimized.onnx").exists()


def test_what_is_default_is_left_out():
    assert json.loads(ort_config(SessionSpec())) == {"session_options": {}}
    basic = SessionSpec(options=(("graph_optimization_level", "enable_basic"),))
    assert json.loads(ort_config(basic)) == {"session_options": {"graph_optimization_level": 1}}


@pytest.mark.parametrize(
    "spec",
    [
        SessionSpec(spin=False),
        SessionSpec(options=(("session.dynamic_block_base", "4"),)),
        SessionSpec(options=(("enable_mem_pattern", "0"),)),
    ],
)
def test_what_onnxruntime_would_not_read_is_refused(spec):
    with pytest.raises(SpecError, match=f"can't travel .*{TRAVELLING[0]}"):
        ort_config(spec)
