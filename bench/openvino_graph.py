"""What OpenVINO really runs: the kernels of its compiled graphs, files side by side.

    python bench/openvino_graph.py [--nodes] FILE.onnx FILE.xml…

Counts are by operator, kernel and the precisions that go in and come out; ``i8`` in a kernel's name
means int8, ``f32`` float. What is folded into a convolution (ReLU, the residual Add, quantization)
is no node any more: an Add that is left says that it was not folded. ``--nodes`` lists the nodes of
every file in order, with their shapes and the layers they come from. Nothing is timed.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet_deploy.runners.openvino_runner import import_openvino, properties
from resnet_deploy.spec import SessionSpec

_NO_WORK = frozenset({"Const", "Input", "Output"})


@dataclass(frozen=True)
class Node:
    """One node of a compiled graph."""

    operator: str
    kernel: str
    precisions: str
    shape: tuple[int, ...]
    layers: str

    @property
    def kind(self) -> tuple[str, str, str]:
        return self.operator, self.kernel, self.precisions


def compiled_nodes(path: Path, threads: int) -> list[Node]:
    """Compile ``path`` for one image and return what runs, in order."""
    core = import_openvino().Core()
    model = core.read_model(str(path))
    shape = model.inputs[0].partial_shape
    model.reshape([1, *(size.get_length() for size in list(shape)[1:])])
    compiled = core.compile_model(model, "CPU", properties(SessionSpec(threads=threads)))
    nodes = []
    for node in compiled.get_runtime_model().get_ordered_ops():
        operator = _fact(node, "layerType")
        folded = all(_fact(source, "layerType") == "Const" for source in _sources(node))
        if operator in _NO_WORK or folded:  # what reads constants alone was done when compiling
            continue
        inputs = ",".join(_fact(source, "outputPrecisions") for source in _sources(node))
        nodes.append(
            Node(
                operator=operator,
                kernel=_fact(node, "primitiveType"),
                precisions=f"{inputs} -> {_fact(node, 'outputPrecisions')}",
                shape=tuple(node.output(0).shape),
                layers=_fact(node, "originalLayersNames"),
            )
        )
    return nodes


def _sources(node: Any) -> list[Any]:
    return [port.get_source_output().get_node() for port in node.inputs()]


def _fact(node: Any, key: str) -> str:
    facts = node.get_rt_info()
    return str(facts[key].value) if key in facts else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--nodes", action="store_true", help="list every node of every file")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    graphs = [compiled_nodes(path, given.threads) for path in given.files]
    counts = [Counter(node.kind for node in nodes) for nodes in graphs]
    kinds = dict.fromkeys(node.kind for nodes in graphs for node in nodes)
    for number, path in enumerate(given.files):
        print(f"({number + 1}) {path}: {len(graphs[number])} nodes")
    for kind in kinds:
        numbers = "".join(f"{count[kind] or '':>5}" for count in counts)
        print(f"{numbers}  {kind[0]:16} {kind[1]:28} {kind[2]}")
    if given.nodes:
        for path, nodes in zip(given.files, graphs, strict=True):
            print(f"\n{path}")
            for node in nodes:
                print(f"  {' '.join(node.kind)} {list(node.shape)} {node.layers}")


if __name__ == "__main__":
    main()
