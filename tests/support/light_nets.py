"""The real nets of other tools that the onnx package carries: Caffe2's, of opset 9 and before.

Their weights are ConstantOfShape nodes, which keeps the files small; the widest linear layers of
three of them would still fill gigabytes, and are narrowed here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
WIDE, NARROW = 4096, 16


def names() -> list[str]:
    """Return what follows ``light_`` in the name of every file."""
    return sorted(path.stem.removeprefix("light_") for path in LIGHT.glob("light_*.onnx"))


def narrowed(name: str) -> onnx.ModelProto:
    """Return the net with 16 features in place of 4096."""
    model = onnx.load(LIGHT / f"light_{name}.onnx")
    for constant in model.graph.initializer:
        if constant.name.endswith("__SHAPE"):
            shape = numpy_helper.to_array(constant)
            if len(shape) <= 2 and WIDE in shape:
                fewer = np.where(shape == WIDE, NARROW, shape)
                constant.CopyFrom(numpy_helper.from_array(fewer, constant.name))
    return model


def drawn(model: onnx.ModelProto) -> onnx.ModelProto:
    """Give ``model`` weights from a seed, in place; return it.

    Of equal weights the answers are equal for all pictures. Biases and means become zero, factors
    and variances are about one.
    """
    random = np.random.default_rng(0)
    constants = {constant.name: constant for constant in model.graph.initializer}
    inputs = {value.name: value for value in model.graph.input}
    factors = _factors(model.graph)
    for node in [node for node in model.graph.node if node.op_type == "ConstantOfShape"]:
        (given,), (name,) = node.input, node.output
        shape = tuple(int(size) for size in numpy_helper.to_array(constants[given]))
        values = np.zeros(shape)
        if name in factors:
            values = random.uniform(0.5, 1.5, shape)
        elif len(shape) > 1:
            values = random.standard_normal(shape) * (2 / np.prod(shape[1:])) ** 0.5
        constants[given].CopyFrom(numpy_helper.from_array(values.astype(np.float32), name))
        inputs[given].CopyFrom(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
        model.graph.node.remove(node)
    return model


def _factors(graph: onnx.GraphProto) -> set[str]:
    """Return the constants that multiply a channel or are its variance."""
    behind = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Unsqueeze"}
    found: set[str] = set()
    for node in graph.node:
        if node.op_type == "BatchNormalization":
            found.update((node.input[1], node.input[4]))
        elif node.op_type == "Mul":
            found.update(behind.get(name, name) for name in node.input)
    return found
