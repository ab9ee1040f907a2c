"""Nodes that a tool has left out of order."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.canonical.order import sort_nodes
from resnet_deploy.errors import ArtifactError


def _model(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3, 4, 4]) for name in "xy")
    graph = helper.make_graph(list(nodes), "g", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def _chain(*edges: str) -> onnx.ModelProto:
    return _model(*(helper.make_node("Relu", [edge[0]], [edge[1]], name=edge) for edge in edges))


def test_each_node_is_behind_what_it_reads(tmp_path: Path) -> None:
    onnx.save(_chain("by", "ab", "xa", "xc"), tmp_path / "unsorted.onnx")
    graph = read_model(tmp_path / "unsorted.onnx").graph
    assert [node.name for node in graph.node] == ["xa", "ab", "by", "xc"]


def test_a_sorted_graph_stays_as_it_is() -> None:
    model = _chain("xa", "xc", "ab", "by")
    before = model.SerializeToString()
    assert sort_nodes(model) == 0
    assert model.SerializeToString() == before


def test_a_subgraph_reads_the_tensors_around_it() -> None:
    branch = helper.make_graph(
        [helper.make_node("Relu", ["a"], ["inner"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
    )
    choice = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    model = _model(choice, *_chain("xa").graph.node)
    assert sort_nodes(model) == 2
    assert [node.op_type for node in model.graph.node] == ["Relu", "If"]


def test_a_cycle_is_refused_by_the_name_of_a_node() -> None:
    with pytest.raises(ArtifactError, match="cycle: Relu node 'ba' waits for its own result"):
        sort_nodes(_chain("ba", "xc", "ab", "cy"))
