from __future__ import annotations

import pytest

from resnet_deploy.errors import DatasetError, runtime_reason

RUNNING = "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running "
SOURCE = "/onnxruntime_src/onnxruntime/core/"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            f"{RUNNING}Reshape node. Name:'' Status Message: {SOURCE}tensor/reshape_helper.h:91 "
            "onnxruntime::ReshapeHelper::ReshapeHelper(const onnxruntime::TensorShape&, bool) "
            "input_size == requested_size was false. The input tensor cannot be reshaped.\n",
            "a Reshape node: The input tensor cannot be reshaped.",
        ),
        (
            f"{RUNNING}Concat node. Name:'c' Status Message: concatbase.h:133 "
            "PrepareForComputeImpl Non concat axis dimensions must match: 2 and 5",
            "Concat node 'c': Non concat axis dimensions must match: 2 and 5",
        ),
        (
            f"[ONNXRuntimeError] : 10 : INVALID_GRAPH : {SOURCE}graph/graph.cc:1327 "
            "onnxruntime::Graph::Graph(const std::function<void(int)>&, bool) "
            "[ONNXRuntimeError] : 10 : INVALID_GRAPH : Unsupported attribute",
            "Unsupported attribute",
        ),
        (f"{SOURCE}a.cc:5 void onnxruntime::Do(int) size > 0 was false.", "a check of its own"),
    ],
)
def test_reasons_of_onnx_runtime_quote_no_cpp(said: str, reason: str) -> None:
    found = runtime_reason(ValueError(said))
    assert reason in found
    assert not any(word in found for word in ("::", ".cc:", ".h:", "was false", "RuntimeError]"))


def test_an_error_is_one_line_whatever_the_names_in_it_are() -> None:
    error = DatasetError("one\ntwo\u2028three\x1b[31m", "four\r\nfive")
    assert str(DatasetError("one\ntwo\u2028three\x1b[31m")) == r"one\ntwo\u2028three\x1b[31m"
    assert str(error).splitlines() == [str(error)]
