"""The runners openvino and ort-openvino beyond what all runners have in common."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest

from resnet_deploy.errors import RunnerError, SpecError
from resnet_deploy.runners import ort_openvino_runner
from resnet_deploy.runners.cpu import has_bfloat16, isa
from resnet_deploy.runners.openvino_runner import (
    OpenVinoBfloat16Runner,
    OpenVinoRunner,
    properties,
)
from resnet_deploy.runners.ort_openvino_runner import OrtOpenVinoRunner, openvino_devices
from resnet_deploy.spec import Optimization, SessionSpec
from tests.support.runner_graphs import cnn, random

pytest.importorskip("openvino")


@pytest.fixture
def plugin() -> None:
    """Skip where OpenVINO's plugin has no device: on CPUs that are not Intel's."""
    pytest.importorskip("onnxruntime_ep_openvino")
    if not openvino_devices():
        pytest.skip("OpenVINO's plugin lists no CPU device here")


def test_float_parts_stay_in_float32_unless_asked():
    assert properties(SessionSpec(threads=2)) == {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": "2",
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": "NO",
    }
    own = properties(SessionSpec(options=(("INFERENCE_PRECISION_HINT", "bf16"),)))
    assert own["INFERENCE_PRECISION_HINT"] == "bf16"
    with pytest.raises(SpecError, match="always optimises"):
        properties(SessionSpec(optimization=Optimization.OFF))


def test_properties_reach_openvino(tmp_path: Path):
    spec = SessionSpec(threads=1, options=(("PERF_COUNT", "YES"),))
    with closing(OpenVinoRunner(cnn(tmp_path / "m.onnx"), spec)) as runner:
        model = runner._request.get_compiled_model()
        assert model.get_property("PERF_COUNT") == "YES"
        assert model.get_property("INFERENCE_NUM_THREADS") == 1
        assert model.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "f32"


def test_bfloat16_is_asked_for_and_seen_in_the_answers(tmp_path: Path):
    if not has_bfloat16(isa()):
        pytest.skip("this CPU has no bfloat16")
    path, images = cnn(tmp_path / "m.onnx"), random(4, 3, 8, 8)
    with closing(OpenVinoRunner(path, SessionSpec(threads=1))) as runner:
        exact = runner.infer(images)
    with closing(OpenVinoBfloat16Runner(path, SessionSpec(threads=1))) as runner:
        model = runner._request.get_compiled_model()
        assert model.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "bf16"
        rounded = runner.infer(images)
    error = np.abs(exact - rounded).max() / np.abs(exact).max()
    assert 1e-5 < error < 5e-2


def test_bfloat16_is_refused_where_it_would_be_float32(tmp_path: Path, monkeypatch):
    path = cnn(tmp_path / "m.onnx")
    with pytest.raises(SpecError, match="sets INFERENCE_PRECISION_HINT"):
        OpenVinoBfloat16Runner(path, SessionSpec(options=(("INFERENCE_PRECISION_HINT", "f32"),)))
    monkeypatch.setattr("resnet_deploy.runners.openvino_runner.isa", lambda: ("avx2",))
    with pytest.raises(RunnerError, match="this CPU has no bfloat16"):
        OpenVinoBfloat16Runner(path, SessionSpec(threads=1))


def test_wrong_properties_are_refused_in_one_line(tmp_path: Path):
    path = cnn(tmp_path / "m.onnx")
    with pytest.raises(RunnerError, match=r"refuses .*m\.onnx.*Unsupported property") as caught:
        OpenVinoRunner(path, SessionSpec(options=(("NONSENSE", "1"),)))
    assert "\n" not in str(caught.value)
    with pytest.raises(SpecError, match=r"no session option 'session\.dynamic_block_base'"):
        OpenVinoRunner(path, SessionSpec(options=(("session.dynamic_block_base", "4"),)))


def test_each_shape_is_compiled_once(tmp_path: Path):
    path = cnn(tmp_path / "m.onnx")
    with closing(OpenVinoRunner(path, SessionSpec(threads=1))) as runner:
        at_load = runner._request
        alone = runner.infer(random(1, 3, 8, 8))
        assert runner._request is at_load
        three = runner.infer(random(3, 3, 8, 8))
        compiled = runner._request
        assert compiled is not at_load
        np.testing.assert_allclose(three[:1], alone, rtol=1e-5, atol=1e-5)
        runner.infer(random(3, 3, 8, 8, seed=1))
        assert runner._request is compiled
        with pytest.raises(RunnerError, match="float64: it takes"):
            runner.infer(random(3, 3, 8, 8).astype(np.float64))


def test_height_and_width_may_be_free(tmp_path: Path):
    path = cnn(tmp_path / "m.onnx")
    model = onnx.load(path)
    for dim in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        dim.dim_param = "size"
    onnx.save(model, path)
    with closing(OpenVinoRunner(path, SessionSpec(threads=1))) as runner:
        assert runner.input.shape == (None, 3, None, None)
        assert runner.infer(random(2, 3, 10, 12)).shape == (2, 5)


def test_nothing_is_reported_to_anybody(tmp_path: Path):
    code = (
        "import socket, sys\n"
        "def no(*args, **kwargs): raise SystemExit('went out')\n"
        "socket.socket.connect = socket.getaddrinfo = no\n"
        "import numpy as np\n"
        "from pathlib import Path\n"
        "from resnet_deploy.runners.openvino_runner import OpenVinoRunner\n"
        "runner = OpenVinoRunner(Path(sys.argv[1]))\n"
        "runner.infer(np.zeros((1, 3, 8, 8), np.float32))\n"
        "assert 'openvino' in sys.modules\n"
        "assert not any('telemetry' in name and 'stub' not in name\n"
        "               and name.startswith('openvino_') for name in sys.modules)\n"
    )
    path = cnn(tmp_path / "m.onnx")
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.usefixtures("plugin")
def test_the_plugin_takes_session_options_and_properties(tmp_path: Path):
    options = (("session.set_denormal_as_zero", "1"), ("INFERENCE_NUM_THREADS", "1"))
    spec = SessionSpec(options=options)
    with closing(OrtOpenVinoRunner(cnn(tmp_path / "m.onnx"), spec)) as runner:
        assert "OpenVINOExecutionProvider" in runner._session.get_providers()
        given = runner._session.get_provider_options()["OpenVINOExecutionProvider"]["load_config"]
        assert '"INFERENCE_NUM_THREADS": "1"' in given
        asked = runner._session.get_session_options()
        assert asked.get_session_config_entry("session.set_denormal_as_zero") == "1"
        traced = runner.trace(random(2, 3, 8, 8), ["r"])
        assert traced["r"].min() >= 0


@pytest.mark.usefixtures("plugin")
def test_the_plugin_refuses_unknown_properties_in_one_line(tmp_path: Path):
    with pytest.raises(RunnerError, match=r"refuses .*m\.onnx.*Unsupported property") as caught:
        OrtOpenVinoRunner(cnn(tmp_path / "m.onnx"), SessionSpec(options=(("NONSENSE", "1"),)))
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("plugin")
def test_a_graph_that_is_taken_in_part_is_refused(tmp_path: Path):
    path = cnn(tmp_path / "m.onnx")
    model = onnx.load(path)
    # OpenVINO has no counterpart of this operator.
    model.graph.node.append(onnx.helper.make_node("Det", ["x"], ["d"]))
    model.graph.output.append(onnx.helper.make_tensor_value_info("d", 1, ["batch", 3]))
    onnx.save(model, path)
    with pytest.raises(RunnerError, match=r"only parts of .*leaves Det to ONNX Runtime"):
        OrtOpenVinoRunner(path, SessionSpec(threads=1))


def test_where_the_plugin_lists_no_device(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(ort_openvino_runner, "openvino_devices", list)
    with pytest.raises(RunnerError, match=r"lists no CPU device here .*Intel CPUs only"):
        OrtOpenVinoRunner(cnn(tmp_path / "m.onnx"))
