"""What OpenVINO really runs: the kernels of its compiled graphs, files side by side.

    python bench/openvino_graph.py [--nodes] FILE.onnx FILE.xml…

Counts are by operator, kernel and the precisions that go in and come out; ``i8`` in a kernel's name
means int8, ``f32`` float. What is folded into a convolution (ReLU, the residual Add, quantization)
is not a node any more: an Add that is left says that it was not folded. ``--nodes`` lists the nodes
of every file in order, with their shapes and the layers they come from. Nothing is timed.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from resnet_deploy.runners.openvino_graph import compiled_nodes


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
