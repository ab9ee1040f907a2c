"""Operators of ONNX Runtime's optimised graph, written by hand, and where they come from."""

from __future__ import annotations

import onnx
import pytest
from onnx import helper

from resnet_deploy.graph.module_names import MODULE_KEY
from resnet_deploy.graph.optimized import OptimizedGraph


def node(op: str, inputs: list[str], output: str, name: str, module: str = "") -> onnx.NodeProto:
    made: onnx.NodeProto = helper.make_node(op, inputs, [output], name=name)
    if module:
        made.metadata_props.add(key=MODULE_KEY, value=module)
    return made


SOURCE = [
    node("Constant", [], "k", ""),
    node("Conv", ["x", "w"], "c", "first", "stem.conv"),
    node("Relu", ["c"], "r", "act", "stem.relu"),
    node("GlobalAveragePool", ["r"], "p", "pool", "pool"),
    node("Gemm", ["p", "v"], "y", ""),
]


def graph(*nodes: onnx.NodeProto) -> onnx.GraphProto:
    return helper.make_graph(nodes, "g", [], [])


@pytest.mark.parametrize(
    ("made", "module", "put_in"),
    [
        (node("Conv", ["x", "w"], "c", "first"), "stem.conv", False),
        (node("Conv", ["x", "w"], "c_", "first_nchwc"), "stem.conv", False),
        (node("QLinearConv", ["x", "w"], "c_", "first_quant"), "stem.conv", False),
        (node("Cast", ["x"], "z", "c_token_3"), "stem.conv", False),
        # It absorbed the ReLU and took its name.
        (node("FusedConv", ["x", "w"], "r", "act"), "stem.conv", False),
        (node("Relu", ["c"], "r", "act"), "stem.relu", False),
        # Its name says nothing, its output does.
        (node("NhwcMaxPool", ["r"], "p", "new"), "pool", True),
        (node("Transpose", ["x"], "z", "new"), "new", True),
        (node("Transpose", ["x"], "z", ""), "z", True),
    ],
)
def test_the_node_of_the_file(made: onnx.NodeProto, module: str, put_in: bool) -> None:
    origin = OptimizedGraph(graph(*SOURCE), graph(made))
    assert origin.module(made) == module
    assert (origin.source(made) is None) == put_in


def test_what_was_put_in_belongs_to_what_it_reads() -> None:
    conv = node("Conv", ["x", "w"], "a", "first_nchwc")
    reorder = node("ReorderOutput", ["a"], "b", "new")
    cast = node("Cast", ["b"], "d", "newer")
    origin = OptimizedGraph(graph(*SOURCE), graph(conv, reorder, cast))
    assert origin.module(cast) == origin.module_by_name("new") == "stem.conv"
    assert origin.source(reorder) is None


@pytest.mark.parametrize(
    ("name", "module"),
    [("pool_nhwc", "pool"), ("Gemm_3", "gemm"), ("Conv_3", "Conv_3"), ("Gemm_4", "Gemm_4")],
)
def test_what_the_profiler_names_and_the_saved_graph_has_not(name: str, module: str) -> None:
    assert OptimizedGraph(graph(*SOURCE), graph()).module_by_name(name) == module
