import onnx_ir as ir

from resnet_deploy.graph.module_names import MODULE_KEY, module_of
from resnet_deploy.passes.name_by_module import name_by_module
from resnet_deploy.passes.result import PassResult
from tests.support.graphs import noise, parse, to_ir

BLOCK = """
g (float[N,4,3,3] x) => (float[N,4,3,3] logits) {
  a = Conv<kernel_shape=[1,1]>(x, layer1.0.conv1.weight, b1)
  b = Relu(a)
  c = Conv<kernel_shape=[1,1]>(b, layer1.0.conv2.weight)
  d = Add(c, x)
  logits = Relu(d)
}
"""


def block() -> ir.Model:
    weights = {f"layer1.0.conv{i}.weight": noise(4, 4, 1, 1) for i in (1, 2)}
    graph = to_ir(parse(BLOCK, {**weights, "b1": noise(4)}))
    scopes = (
        ["", "layer1", "layer1.0", "layer1.0.conv1", "conv2d"],
        ["", "layer1", "layer1.0", "layer1.0.relu", "relu"],
        ["", "layer1", "layer1.0", "layer1.0.conv2", "conv2d_1"],
        ["", "layer1", "layer1.0", "add_1"],
        ["", "layer1", "layer1.0", "layer1.0.relu", "relu_1"],
    )
    for node, scope in zip(graph.graph, scopes, strict=True):
        node.metadata_props["pkg.torch.onnx.name_scopes"] = str(scope)
        node.metadata_props["pkg.torch.onnx.stack_trace"] = "File '/somewhere/model.py'"
    return graph


def test_nodes_tensors_and_weights_are_named_after_torch_modules() -> None:
    graph = block()
    name_by_module(graph)

    names = [node.name for node in graph.graph]
    assert names == [
        "layer1.0.conv1",
        "layer1.0.relu",
        "layer1.0.conv2",
        "layer1.0.add",
        "layer1.0.relu_1",
    ]
    modules = [node.metadata_props[MODULE_KEY] for node in graph.graph]
    assert modules[3] == "layer1.0"
    assert modules[4] == "layer1.0.relu"
    assert [node.outputs[0].name for node in graph.graph][:2] == names[:2]
    assert graph.graph.outputs[0].name == "logits"
    assert "layer1.0.conv1.bias" in graph.graph.initializers


def test_stack_traces_of_the_exporting_machine_are_dropped() -> None:
    graph = block()
    name_by_module(graph)
    assert "somewhere" not in ir.to_proto(graph).SerializeToString().decode("latin-1")


def test_a_second_run_changes_nothing() -> None:
    graph = block()
    name_by_module(graph)
    first = ir.to_proto(graph).SerializeToString(deterministic=True)
    assert name_by_module(graph) == PassResult()
    assert ir.to_proto(graph).SerializeToString(deterministic=True) == first


def test_the_path_in_a_torchscript_node_name() -> None:
    node = ir.node("Add", [], name="/layer1/layer1.0/Add")
    assert module_of(node) == "layer1.0"
    node = ir.node("Relu", [], name="/layer1/layer1.0/relu/Relu")
    assert module_of(node) == "layer1.0.relu"
