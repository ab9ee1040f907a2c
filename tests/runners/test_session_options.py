from __future__ import annotations

from pathlib import Path

import onnxruntime as ort
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state

from resnet_deploy.errors import SpecError
from resnet_deploy.runners.ort_runner import open_session, session_options
from resnet_deploy.runners.session_options import (
    ATTRIBUTES,
    CONFIG_KEYS,
    attribute_value,
    parse_session_options,
)
from resnet_deploy.spec import SessionSpec
from tests.support.runner_graphs import cnn

ON_ARM_ONLY = {"mlas.enable_gemm_fastmath_arm64_bfloat16"}


def test_onnxruntime_knows_every_key():
    library = Path(onnxruntime_pybind11_state.__file__).read_bytes()
    unknown = {key for key in CONFIG_KEYS if key.encode() not in library}
    assert unknown <= ON_ARM_ONLY


def test_the_attributes_are_those_of_onnxruntime():
    options = ort.SessionOptions()
    names = {name for name in dir(options) if not name.startswith("_")}
    assert {name for name in names if not callable(getattr(options, name))} == set(ATTRIBUTES)
    for name, kind in ATTRIBUTES.items():
        if isinstance(kind, dict):
            members = type(getattr(options, name)).__members__
            assert {key.removeprefix("ORT_"): int(value) for key, value in members.items()} == kind
        else:
            assert type(getattr(options, name)) is kind


def test_options_reach_onnxruntime_and_win_over_the_fields():
    texts = [
        "session.intra_op.allow_spinning=0",
        "session.dynamic_block_base=4",
        "ep.context_enable=0",
        "graph_optimization_level=ORT_ENABLE_BASIC",
        "execution_mode=parallel",
        "execution_order=2",
        "enable_mem_pattern=false",
        "intra_op_num_threads=3",
        "logid=a=b",
    ]
    spec = SessionSpec(threads=1, options=parse_session_options(texts))
    options = session_options(spec)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.get_session_config_entry("session.dynamic_block_base") == "4"
    assert options.get_session_config_entry("ep.context_enable") == "0"
    assert options.graph_optimization_level == ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    assert options.execution_mode == ort.ExecutionMode.ORT_PARALLEL
    assert options.execution_order == ort.ExecutionOrder.MEMORY_EFFICIENT
    assert options.enable_mem_pattern is False
    assert options.intra_op_num_threads == 3
    assert options.logid == "a=b"


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["session.intra_op.allow_spining=0"], "did you mean session.intra_op.allow_spinning"),
        (["intra_op_threads=2"], "did you mean intra_op_num_threads"),
        (["qqq=2"], "docs/how-to/runners.md"),
        (["session.dynamic_block_base"], "write KEY=VALUE"),
        (["session.dynamic_block_base=many"], "'many': use a whole number"),
        (["session.set_denormal_as_zero=true"], "'true': use 0 or 1"),
        (["enable_mem_pattern=maybe"], "'maybe': use 0 or 1"),
        (["intra_op_num_threads=1.5"], "a whole number"),
        (["graph_optimization_level=98"], "one of DISABLE_ALL, ENABLE_BASIC"),
        (["logid=a", "logid=b"], "'logid' is given twice"),
    ],
)
def test_what_onnxruntime_would_ignore_is_refused(texts, said):
    with pytest.raises(SpecError, match=said) as caught:
        parse_session_options(texts)
    assert "\n" not in str(caught.value)


def test_properties_of_openvino_are_for_its_runners(tmp_path: Path):
    options = parse_session_options(["INFERENCE_PRECISION_HINT=bf16"])
    with pytest.raises(SpecError, match="property of OpenVINO"):
        open_session(cnn(tmp_path / "m.onnx"), SessionSpec(options=options))


def test_what_onnxruntime_itself_refuses():
    with pytest.raises(SpecError, match=r"refuses the session option intra_op_num_threads=9{12}"):
        session_options(SessionSpec(options=(("intra_op_num_threads", "9" * 12),)))


def test_names_of_enumerations_are_taken_in_any_case():
    for text in ("ORT_ENABLE_ALL", "enable_all", "99"):
        assert attribute_value("graph_optimization_level", text) == 99
