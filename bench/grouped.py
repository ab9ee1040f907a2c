"""Grouped int8 convolutions in ONNX Runtime: how wide groups should be, and how many depthwise.

Each 3x3 convolution of a ResNeXt-50 32x4d is measured with its 32 groups and with neighbours packed
into fewer, block-diagonal ones, which compute the same; see
``resnet_deploy/quantization/pack_groups.py``. All variants of a layer take turns, each in a graph
between two 1x1 convolutions; the kernel's own time is ONNX Runtime's profile, the shortest of all
runs. Depthwise 3x3 convolutions are measured by their number of channels, those of known nets and
the next multiples of 16.

Run it as ``python bench/grouped.py``: it takes half a minute, prints two tables and writes
``bench/results/grouped.json``.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console
from rich.table import Table

from resnet_deploy.quantization.pack_groups import block_diagonal
from resnet_deploy.results import to_dict
from resnet_deploy.runners.cpu import environment

RESULT = Path(__file__).parent / "results" / "grouped.json"
GROUPS = 32
LAYERS = ((128, 56, 1), (256, 56, 2), (256, 28, 1), (512, 28, 2), (512, 14, 1), (1024, 7, 1))
"""Channels, height and width of the input, stride."""
PACKED = (1, 2, 4, 8, 16)
DEPTHWISE = (24, 32, 40, 48, 58, 64, 72, 80, 116, 120, 128, 184, 192, 200, 208, 240)
"""MobileNetV3, MNASNet and ShuffleNetV2 have 24, 40, 58, 72, 116, 120, 184 and 200."""
DEPTHWISE_SIZE = 28
ROUNDS, RUNS = 3, 20
OPSET = 17


class Graph:
    """Nodes and initializers of a QDQ graph."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, array: np.ndarray) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, op_type: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        output = name or f"{op_type.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=output, **attributes))
        return output

    def quantized(self, value: str) -> str:
        pair = self.constant(np.array(0.02, np.float32)), self.constant(np.array(0, np.uint8))
        return self.add("DequantizeLinear", self.add("QuantizeLinear", value, *pair), *pair)

    def conv(self, value: str, weight: np.ndarray, name: str = "", **attributes: Any) -> str:
        ones = np.ones(len(weight), np.float32)
        scale, zero = self.constant(ones / 1000), self.constant(np.zeros(len(weight), np.int8))
        codes = self.add("DequantizeLinear", self.constant(weight), scale, zero, axis=0)
        return self.quantized(self.add("Conv", value, codes, name=name, **attributes))


def model_of(channels: int, size: int, stride: int, packed: int) -> bytes:
    """Return a graph whose Conv ``grouped`` has ``packed`` neighbours in each group."""
    codes = np.random.default_rng(0).integers(-127, 128, (channels, channels, 1, 1), np.int8)
    narrow = np.resize(codes, (channels, channels // GROUPS, 3, 3))
    weight = block_diagonal(narrow, GROUPS, packed, 0)
    return _between_two(codes, weight, GROUPS // packed, size, stride)


def depthwise_model(channels: int) -> bytes:
    """Return a graph whose Conv ``grouped`` is depthwise."""
    codes = np.random.default_rng(0).integers(-127, 128, (channels, channels, 1, 1), np.int8)
    return _between_two(codes, np.resize(codes, (channels, 1, 3, 3)), channels, DEPTHWISE_SIZE, 1)


def _between_two(
    outer: np.ndarray, weight: np.ndarray, groups: int, size: int, stride: int
) -> bytes:
    """Return a graph whose Conv ``grouped`` is between two 1x1 convolutions of ``outer``."""
    channels = len(outer)
    graph = Graph()
    value = graph.conv(graph.quantized("x"), outer)
    value = graph.conv(
        value,
        weight,
        name="grouped",
        group=groups,
        pads=[1, 1, 1, 1],
        strides=[stride, stride],
    )
    value = graph.add("GlobalAveragePool", graph.conv(value, outer))
    shape = [1, channels, size, size]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "grouped",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(value, TensorProto.FLOAT, [1, channels, 1, 1])],
            graph.constants,
        ),
        ir_version=8,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    return bytes(model.SerializeToString())


def microseconds(model: bytes, x: np.ndarray) -> float:
    """Return the shortest time of the kernel of ``grouped``."""
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder, "profile"))
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        for _ in range(RUNS):
            session.run(None, {"x": x})
        events = json.loads(Path(session.end_profiling()).read_text())
    return float(
        min(
            event["dur"]
            for event in events
            if event["name"].startswith("grouped") and event["name"].endswith("_kernel_time")
        )
    )


def shortest(models: dict[int, bytes], channels: dict[int, int], size: int) -> dict[int, float]:
    """Return the microseconds of each of ``models``, which take turns; ``channels`` of each."""
    best = dict.fromkeys(models, np.inf)
    for _ in range(ROUNDS):
        for key, model in models.items():
            shape = (1, channels[key], size, size)
            x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
            best[key] = min(best[key], microseconds(model, x))
    return best


def main() -> None:
    rows: list[dict[str, Any]] = []
    for channels, size, stride in LAYERS:
        models = {packed: model_of(channels, size, stride, packed) for packed in PACKED}
        best = shortest(models, dict.fromkeys(PACKED, channels), size)
        widths = {channels // GROUPS * packed: best[packed] for packed in PACKED}
        layer = {"channels": channels, "size": size, "stride": stride}
        rows.append({**layer, "microseconds_by_group_width": widths})
    each = {channels: depthwise_model(channels) for channels in DEPTHWISE}
    depthwise = shortest(each, {channels: channels for channels in DEPTHWISE}, DEPTHWISE_SIZE)
    table = Table("layer", "microseconds by channels per group")
    for row in rows:
        widths = row["microseconds_by_group_width"]
        table.add_row(
            f"{row['channels']}@{row['size']}, stride {row['stride']}",
            "  ".join(f"{width}: {time:.0f}" for width, time in widths.items()),
        )
    Console().print(table)
    table = Table("depthwise channels", "microseconds")
    for channels, time in depthwise.items():
        table.add_row(f"{channels}@{DEPTHWISE_SIZE}", f"{time:.0f}")
    Console().print(table)
    result = {
        "environment": to_dict(environment("python bench/grouped.py")),
        "layers": rows,
        "depthwise_microseconds_by_channels": depthwise,
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
