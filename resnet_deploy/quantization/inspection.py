"""What ONNX Runtime makes of an int8 file: the optimised graph, operator by operator.

A QDQ file is only a wish. Whether a layer runs in int8 is decided when the session is built, in
silence; so the session is built here, its graph is saved and read, and every operator that stayed
in float is named with the reason.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from resnet_deploy.errors import RunnerError, one_line
from resnet_deploy.graph.optimized import OptimizedGraph
from resnet_deploy.quantization.plan import INPUT_RANGE, OWN_RANGE
from resnet_deploy.results import FloatOp, Inspection
from resnet_deploy.runners.ort_runner import session_options
from resnet_deploy.spec import SessionSpec

_FLOAT_COMPUTE = frozenset({"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "ConvTranspose"})


def inspect_int8(path: Path, exclude: tuple[str, ...] = ()) -> Inspection:
    """Return what ONNX Runtime runs for the int8 file at ``path``, with all optimisations.

    Reported are: float compute operators, DequantizeLinear and QuantizeLinear between int8
    operators, other float operators between them, and a Transpose between two int8 operators. Float
    work before the first QuantizeLinear and after the last int8 operator is not: it prepares the
    image and serves the logits. ``exclude`` are the globs of the layers that were asked to stay
    float: what runs in float together with them is marked as requested.

    Raises:
        RunnerError: ONNX Runtime refuses the file.
    """
    source = onnx.load(str(path))
    optimised = _optimised(path)
    return Inspection(
        model=str(path),
        op_counts=dict(Counter(node.op_type for node in optimised.graph.node).most_common()),
        float_ops=tuple(_float_ops(optimised, source, exclude)),
    )


def _optimised(path: Path) -> onnx.ModelProto:
    import onnxruntime as ort

    with tempfile.TemporaryDirectory(prefix="resnet-deploy-") as folder:
        target = Path(folder, "optimised.onnx")
        options = session_options(SessionSpec(threads=1))
        options.optimized_model_filepath = str(target)
        try:
            ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no base class
            reason = one_line(error)
            raise RunnerError(f"ONNX Runtime refuses the int8 graph: {reason}") from error
        return onnx.load(str(target))


def _is_int8(node: onnx.NodeProto) -> bool:
    """QLinearConv, QLinearAdd, QGemm, NhwcMaxPool, …; the default domain's QLinearConv too."""
    return node.op_type.startswith(("QLinear", "QGemm", "QAttention")) or (
        node.domain == "com.microsoft" and node.op_type == "NhwcMaxPool"
    )


def _float_ops(
    optimised: onnx.ModelProto, source: onnx.ModelProto, exclude: tuple[str, ...]
) -> list[FloatOp]:
    nodes = list(optimised.graph.node)
    producer = {name: node for node in nodes for name in node.output}
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    behind = _reached(nodes, producer)
    before = _reaching(nodes, consumers)
    origin = OptimizedGraph(source.graph, optimised.graph)
    explain = _Explain(source, origin)
    asked = [
        node
        for node in nodes
        if not _is_int8(node) and any(fnmatchcase(origin.module(node), glob) for glob in exclude)
    ]
    requested = _float_neighbours(asked, producer, consumers)

    found = []
    for node in nodes:
        if _is_int8(node):
            continue
        between = node.output[0] in behind and node.output[0] in before
        # In front of the pool the picture may be one pixel, whose layout costs nothing.
        stray = all(
            _is_int8(one) and one.op_type != "QLinearGlobalAveragePool"
            for one in consumers.get(node.output[0], [])
        )
        if node.op_type in _FLOAT_COMPUTE or (between and node.op_type not in INPUT_RANGE):
            reason = explain.reason(node)
        elif between and node.op_type == "Transpose" and stray:
            reason = "the layout changes between two int8 operators"
        else:
            continue
        found.append(
            FloatOp(
                layer=origin.module(node),
                op_type=node.op_type,
                reason=reason,
                # Where a float layer puts its changes of layout is ONNX Runtime's choice.
                requested=node.output[0] in requested
                or (bool(exclude) and node.op_type == "Transpose"),
            )
        )
    return found


def _float_neighbours(
    asked: list[onnx.NodeProto],
    producer: dict[str, onnx.NodeProto],
    consumers: dict[str, list[onnx.NodeProto]],
) -> set[str]:
    """Return the outputs of ``asked`` and of all operators joined to them without int8 between."""
    reached: set[str] = set()
    waiting = list(asked)
    while waiting:
        node = waiting.pop()
        if node.output[0] in reached or _is_int8(node):
            continue
        reached.update(node.output)
        waiting.extend(producer[name] for name in node.input if name in producer)
        waiting.extend(one for name in node.output for one in consumers.get(name, ()))
    return reached


def _reached(nodes: list[onnx.NodeProto], producer: dict[str, onnx.NodeProto]) -> set[str]:
    """Return the tensors computed from the output of an int8 operator, those outputs included."""
    reached: set[str] = set()
    for node in nodes:
        if _is_int8(node) or any(name in reached for name in node.input if name in producer):
            reached.update(node.output)
    return reached


def _reaching(nodes: list[onnx.NodeProto], consumers: dict[str, list[onnx.NodeProto]]) -> set[str]:
    """Return the tensors from which an int8 operator computes."""
    reaching: set[str] = set()
    for node in reversed(nodes):
        feeds = any(
            _is_int8(one) or any(out in reaching for out in one.output)
            for name in node.output
            for one in consumers.get(name, [])
        )
        if feeds:
            reaching.update(node.output)
    return reaching


class _Explain:
    """Says why an operator of the optimised graph stayed in float."""

    def __init__(self, source: onnx.ModelProto, origin: OptimizedGraph) -> None:
        self._origin = origin
        self._producer = {name: node for node in source.graph.node for name in node.output}
        self._consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in source.graph.node:
            for name in node.input:
                self._consumers.setdefault(name, []).append(node)
        self._arrays = {tensor.name: tensor for tensor in source.graph.initializer}

    def reason(self, node: onnx.NodeProto) -> str:
        """Return in words why ``node`` did not become an int8 operator."""
        original = self._origin.source(node)
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            return "a Q/DQ pair is left: the operators on its two sides do not both run in int8"
        if original is None:
            return "ONNX Runtime put it in; the operators around it do not run in int8"
        if original.op_type not in OWN_RANGE | INPUT_RANGE | {"Relu", "Clip"}:
            return f"ONNX Runtime has no int8 kernel for {original.op_type}"
        if not self._is_dequantized(original.input[0]):
            return "it was left in float (excluded, or its weights are computed at run time)"
        return self._refused(original)

    def _refused(self, node: onnx.NodeProto) -> str:
        """Return the fusion rule of ONNX Runtime (qdq_selectors.cc) that ``node`` breaks."""
        if any(not self._is_dequantized(name) for name in node.input[:2] if name):
            return "one of its inputs has no DequantizeLinear"
        output = node.output[0]
        following = self._consumers.get(output, [])
        if len(following) == 1 and following[0].op_type in ("Relu", "Clip"):
            output = following[0].output[0]
            following = self._consumers.get(output, [])
            quantized = [one for one in following if one.op_type == "QuantizeLinear"]
            if quantized and self._zero_point(quantized[0]) not in (0, None):
                return "its ReLU is followed by a zero point other than 0, so it can't be absorbed"
        if [one.op_type for one in following] != ["QuantizeLinear"]:
            return "its output does not go to exactly one QuantizeLinear"
        return "ONNX Runtime refused to fuse it (bias scale, types or rank)"

    def _is_dequantized(self, name: str) -> bool:
        producer = self._producer.get(name)
        return producer is not None and producer.op_type == "DequantizeLinear"

    def _zero_point(self, node: onnx.NodeProto) -> int | None:
        tensor = self._arrays.get(node.input[2]) if len(node.input) > 2 else None
        return None if tensor is None else int(np.ravel(numpy_helper.to_array(tensor))[0])
