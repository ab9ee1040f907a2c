"""What a file can do about the residual Add, which ONNX Runtime runs as an operator of its own.

    python bench/residual_add.py

NNCF on OpenVINO adds the shortcut inside the convolution; ONNX Runtime's QLinearConv can't. The
int8 files of ResNet-34 and -50 (random weights: speed does not depend on them) are changed, and all
are measured in turn, batch size 1. The variants are for the stopwatch alone: their scales are what
the shape of the graph needs, not what keeps the answers.

- ``equal scales``: both terms and the sum have one scale, so that the Add rescales nothing.
- ``in the convolution``: the last convolution of a block reads its input and the shortcut, one
  behind the other in the channels, with the identity as the shortcut's weights.
- ``projections in the convolution``: the same for projection shortcuts of bottlenecks, whose own
  1x1 convolution is then part of the block's last one: no product more than before.
- ``no Add``: blocks without their identity shortcuts, another net: what could be gained at most.

The record is ``results/residual_add.json``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from rich.console import Console
from rich.table import Table

from resnet_deploy.benchmark import default_subjects, measure, open_models
from resnet_deploy.results import to_dict
from resnet_deploy.runners.cpu import environment
from resnet_deploy.spec import BenchSpec

RESULT = Path(__file__).parent / "results" / "residual_add.json"
DEPTHS = (34, 50)
_IDENTITY_CODE = 64


class Graph:
    """A QDQ file by the names of its tensors; a node has the name of its output."""

    def __init__(self, path: Path) -> None:
        self.model = onnx.load(path)
        self.nodes = {node.output[0]: node for node in self.model.graph.node}
        self.constants = {tensor.name: tensor for tensor in self.model.graph.initializer}

    def adds(self) -> list[onnx.NodeProto]:
        return [node for node in self.nodes.values() if node.op_type == "Add"]

    def source(self, dequantized: str) -> onnx.NodeProto:
        """Return what computes the tensor that a Q and DQ pair passes on."""
        quantize = self.nodes[self.nodes[dequantized].input[0]]
        return self.nodes[quantize.input[0]]

    def array(self, name: str) -> np.ndarray:
        return numpy_helper.to_array(self.constants[name])

    def put(self, name: str, array: np.ndarray) -> str:
        self.constants[name] = numpy_helper.from_array(array, name)
        return name

    def rename(self, old: str, new: str) -> None:
        """Make all that reads ``old`` read ``new``."""
        for node in self.nodes.values():
            for index, name in enumerate(node.input):
                if name == old:
                    node.input[index] = new

    def pair(self, value: str, scale: str, zero_point: str) -> str:
        """Return ``value`` behind a Q and DQ pair."""
        for op_type, end in (("QuantizeLinear", "quantized"), ("DequantizeLinear", "dequantized")):
            inputs = [value, scale, zero_point]
            value = f"{value.removesuffix('.quantized')}.{end}"
            self.nodes[value] = helper.make_node(op_type, inputs, [value], name=value)
        return value

    def write(self, path: Path) -> Path:
        """Write what the output needs, in an order in which each node follows its inputs."""
        ordered: dict[str, onnx.NodeProto] = {}

        def visit(name: str) -> None:
            if name in self.nodes and name not in ordered:
                for before in self.nodes[name].input:
                    visit(before)
                ordered[name] = self.nodes[name]

        sys.setrecursionlimit(10_000)
        for output in self.model.graph.output:
            visit(output.name)
        read = {name for node in ordered.values() for name in node.input}
        graph = self.model.graph
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(ordered.values())
        graph.initializer.extend(self.constants[name] for name in self.constants if name in read)
        onnx.save(self.model, path)
        return path


def equal_scales(graph: Graph) -> None:
    one = graph.put("stream.scale", np.array(0.02, np.float32))
    streams = {name for add in graph.adds() for name in (*add.input, *_sum_of(graph, add))}
    # Pools share the scale of what they read.
    old = {graph.nodes[stream].input[1] for stream in streams}
    for node in graph.nodes.values():
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and node.input[1] in old:
            node.input[1] = one
    for conv in (node for node in graph.nodes.values() if node.op_type == "Conv"):
        # A layer whose bias has another scale than the product runs in float.
        weight, bias = graph.nodes[conv.input[1]], graph.nodes[conv.input[2]]
        scale = graph.array(graph.nodes[conv.input[0]].input[1]) * graph.array(weight.input[1])
        bias.input[1] = graph.put(f"{conv.output[0]}.bias.product", scale.astype(np.float32))


def _sum_of(graph: Graph, add: onnx.NodeProto) -> list[str]:
    """Return the dequantized sum of ``add`` behind its ReLU, by whichever name it is read."""
    (relu,) = _readers(graph, add.output[0], "Relu")
    (quantize,) = _readers(graph, relu, "QuantizeLinear")
    return _readers(graph, quantize, "DequantizeLinear")


def _readers(graph: Graph, name: str, op_type: str) -> list[str]:
    return [
        output
        for output, node in graph.nodes.items()
        if node.op_type == op_type and name in node.input
    ]


def no_add(graph: Graph) -> None:
    for add in graph.adds():
        last, shortcut = _terms(graph, add)
        if shortcut.op_type != "Conv":
            graph.rename(add.output[0], last.output[0])


def in_the_convolution(graph: Graph) -> None:
    for add in graph.adds():
        last, shortcut = _terms(graph, add)
        if shortcut.op_type == "Conv":
            continue
        zero = int(graph.array(graph.nodes[last.input[1]].input[2]).flat[0])
        weight = graph.array(graph.nodes[last.input[1]].input[0])
        identity = np.full((len(weight), len(weight), *weight.shape[2:]), zero, np.int8)
        middle = tuple(size // 2 for size in weight.shape[2:])
        channels = np.arange(len(weight))
        identity[(channels, channels, *middle)] = _IDENTITY_CODE
        stream = next(term for term in add.input if graph.source(term) is not last)
        _reads_both(graph, last, stream, identity)
        graph.rename(add.output[0], last.output[0])


def projections_in_the_convolution(graph: Graph) -> None:
    for add in graph.adds():
        last, shortcut = _terms(graph, add)
        if shortcut.op_type != "Conv":
            continue
        weights = [graph.array(graph.nodes[conv.input[1]].input[0]) for conv in (last, shortcut)]
        if any(weight.shape[2:] != (1, 1) for weight in weights):
            continue
        stream = shortcut.input[0]
        (strides,) = (list(a.ints) for a in shortcut.attribute if a.name == "strides")
        if strides != [1, 1]:
            pair = graph.nodes[stream]
            name = f"{shortcut.output[0]}.pixels"
            graph.nodes[name] = helper.make_node(
                "MaxPool", [stream], [name], name=name, kernel_shape=[1, 1], strides=strides
            )
            stream = graph.pair(name, pair.input[1], pair.input[2])
        _reads_both(graph, last, stream, weights[1])
        graph.rename(add.output[0], last.output[0])


def _terms(graph: Graph, add: onnx.NodeProto) -> tuple[onnx.NodeProto, onnx.NodeProto]:
    """Return the last convolution of a block, and what computes its shortcut."""
    first, second = (graph.source(term) for term in add.input)
    return (first, second) if first.op_type == "Conv" else (second, first)


def _reads_both(graph: Graph, conv: onnx.NodeProto, stream: str, codes: np.ndarray) -> None:
    """Make ``conv`` read ``stream`` behind its own input, with the weights ``codes`` ``(O, …)``."""
    own = graph.nodes[conv.input[0]]
    name = f"{conv.output[0]}.both"
    graph.nodes[name] = helper.make_node("Concat", [own.output[0], stream], [name], axis=1)
    weight = graph.nodes[conv.input[1]]
    both = np.concatenate([graph.array(weight.input[0]), codes], axis=1)
    weight.input[0] = graph.put(f"{name}.weight", both)
    conv.input[0] = graph.pair(name, own.input[1], own.input[2])


VARIANTS: dict[str, Callable[[Graph], None]] = {
    "equal scales": equal_scales,
    "in the convolution": in_the_convolution,
    "projections in the convolution": projections_in_the_convolution,
    "no Add": no_add,
}


def files_of(depth: int, folder: Path) -> dict[str, Path]:
    command = [sys.executable, "-m", "resnet_deploy", "export", "--depth", str(depth)]
    subprocess.run([*command, "-o", str(folder)], check=True, stdout=subprocess.DEVNULL)
    default = folder / f"resnet{depth}.int8.onnx"
    files = {"as exported": default}
    for label, change in VARIANTS.items():
        graph = Graph(default)
        before = len(graph.nodes)
        change(graph)
        if label.startswith("projections") and len(graph.nodes) == before:
            continue  # basic blocks: a 3x3 convolution would multiply the projection's work by nine
        files[label] = graph.write(folder / f"resnet{depth}.{label.replace(' ', '-')}.onnx")
    return files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="for each net and thread count")
    asked = parser.parse_args()
    rows = []
    for depth in DEPTHS:
        with tempfile.TemporaryDirectory() as folder:
            files = files_of(depth, Path(folder))
            for threads in (1, 2):
                spec = BenchSpec(threads=threads, time_limit=asked.seconds)
                subjects = default_subjects(open_models(list(files.values())), ("ort",), spec)
                result = measure(subjects, spec, environment=environment("residual_add.py"))
                labels = {str(path): label for label, path in files.items()}
                by_label = {labels[each.subject.model]: each for each in result.subjects}
                first = by_label["as exported"].subject.label
                ratios = {
                    ratio.subject: ratio for ratio in result.ratios if ratio.reference == first
                }
                for label, each in by_label.items():
                    row: dict[str, Any] = {
                        "net": f"resnet{depth}",
                        "threads": threads,
                        "variant": label,
                        "min_ms": each.min_ms,
                    }
                    if found := ratios.get(each.subject.label):
                        times = [1 / found.median, 1 / found.high, 1 / found.low]
                        row["times_as_exported"] = times
                    rows.append(row)
    table = Table("net", "threads", "variant", "fastest, ms", "times as exported")
    for row in rows:
        middle, low, high = row.get("times_as_exported", (1.0, 1.0, 1.0))
        text = f"{middle:.3f} ({low:.3f} to {high:.3f})"
        table.add_row(row["net"], str(row["threads"]), row["variant"], f"{row['min_ms']:.2f}", text)
    Console().print(table)
    where = to_dict(environment("python bench/residual_add.py"))
    RESULT.write_text(json.dumps({"environment": where, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
