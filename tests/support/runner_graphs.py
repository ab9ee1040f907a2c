"""Small ONNX graphs for tests, with random weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from resnet_deploy.graph.module_names import MODULE_KEY


def graph(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int | str],
    constants: Mapping[str, Any] | None = None,
    opset: int = 20,
) -> onnx.ModelProto:
    """Return a model from ``x`` of ``shape`` to ``y``, whose shape is left open."""
    return helper.make_model(
        helper.make_graph(
            nodes,
            "test",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [
                numpy_helper.from_array(np.asarray(value), name)
                for name, value in (constants or {}).items()
            ],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
    )


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def cnn(path: Path, batch: int | str = "batch", scale: float = 1.0) -> Path:
    """Write conv - relu - pool - fc with 5 classes over (3, 8, 8)."""
    conv = helper.make_node(
        "Conv", ["x", "w", "b"], ["c"], name="/conv1/Conv", pads=[1, 1, 1, 1], kernel_shape=[3, 3]
    )
    conv.metadata_props.add(key=MODULE_KEY, value="layer1.0.conv1")
    model = graph(
        [
            conv,
            helper.make_node("Relu", ["c"], ["r"]),
            helper.make_node("GlobalAveragePool", ["r"], ["p"]),
            helper.make_node("Flatten", ["p"], ["f"]),
            helper.make_node("Gemm", ["f", "fw", "fb"], ["y"], transB=1, name="fc"),
        ],
        [batch, 3, 8, 8],
        {
            "w": random(4, 3, 3, 3) * np.float32(scale),
            "b": random(4, seed=1),
            "fw": random(5, 4, seed=2),
            "fb": random(5, seed=3),
        },
    )
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 5])
    )
    path.write_bytes(model.SerializeToString())
    return path


def quantized_cnn(path: Path) -> Path:
    """Write the same conv with QDQ on input, weights (per channel) and output."""
    weight = random(4, 3, 3, 3)
    scale = (np.abs(weight).max(axis=(1, 2, 3)) / 127).astype(np.float32)
    quantized = np.rint(weight / scale[:, None, None, None]).astype(np.int8)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]),
        helper.make_node("DequantizeLinear", ["wq", "ws", "wz"], ["wd"], axis=0),
        helper.make_node("Conv", ["xd", "wd"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "rs", "rz"], ["rq"]),
        helper.make_node("DequantizeLinear", ["rq", "rs", "rz"], ["rd"]),
        helper.make_node("GlobalAveragePool", ["rd"], ["p"]),
        helper.make_node("Flatten", ["p"], ["y"]),
    ]
    model = graph(
        nodes,
        ["batch", 3, 8, 8],
        {
            "xs": np.float32(0.03),
            "xz": np.uint8(128),
            "wq": quantized,
            "ws": scale,
            "wz": np.zeros(4, np.int8),
            "rs": np.float32(0.05),
            "rz": np.uint8(0),
        },
    )
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])
    )
    path.write_bytes(model.SerializeToString())
    return path
