import numpy as np

from resnet_deploy.graph.constants import drop_unused, new_initializer
from tests.support.graphs import noise, parse, to_ir


def test_only_what_nobody_reads_is_dropped() -> None:
    text = "g (float[N,3] x) => (float[N,3] y) { y = Mul(x, w) }"
    graph = to_ir(parse(text, {"w": noise(3), "unused": noise(3)})).graph
    read, unused = graph.initializers["w"], graph.initializers["unused"]

    drop_unused(graph, read, unused, None, graph.outputs[0])

    assert list(graph.initializers) == ["w"]


def test_a_taken_name_gets_a_number() -> None:
    graph = to_ir(parse("g (float[3] x) => (float[3] y) { y = Mul(x, w) }", {"w": noise(3)})).graph
    assert new_initializer(graph, "w", np.ones(2)).name == "w_1"
