"""Small graphs written as text, and what they compute."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from resnet_deploy.runners.ort_runner import open_session
from resnet_deploy.spec import Optimization, SessionSpec

_DOTTED = re.compile(r"\b[a-z]\w*(\.\w+)+")


def parse(text: str, weights: Mapping[str, Any] | None = None, *, opset: int = 17) -> Any:
    """Return the model of an ONNX text graph, with ``weights`` as initializers.

    The text format knows no dots in names; they are written as two underscores for the parser.
    """
    head = f'<ir_version: 8, opset_import: ["" : {opset}]>\n'
    model = onnx.parser.parse_model(head + _DOTTED.sub(lambda m: m[0].replace(".", "__"), text))
    for node in model.graph.node:
        node.input[:] = [name.replace("__", ".") for name in node.input]
    for name, array in (weights or {}).items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), name))
    onnx.checker.check_model(model)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def to_ir(model: onnx.ModelProto) -> ir.Model:
    return ir.from_proto(model)


def run(model: onnx.ModelProto | ir.Model, *feeds: NDArray[Any], optimise: bool = False) -> Any:
    """Return the first output of ``model`` on ONNX Runtime, optimisations off by default."""
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    onnx.checker.check_model(proto)
    level = Optimization.ALL if optimise else Optimization.OFF
    session = open_session(proto.SerializeToString(), SessionSpec(optimization=level, threads=1))
    names = [one.name for one in session.get_inputs()]
    return session.run(None, dict(zip(names, feeds, strict=True)))[0]


def op_types(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def noise(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
