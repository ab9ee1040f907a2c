"""What ONNX Runtime makes of an int8 file: the optimised graph, operator by operator.

A QDQ file is only a wish. Whether a layer runs in int8 is decided when the session is built, in
silence; so the session is built here, its graph is saved and read, and every operator that stayed
in float is named with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from resnet_deploy.artifact.unfinished import scratch_folder
from resnet_deploy.errors import RunnerError, runtime_reason
from resnet_deploy.graph.layers import FLOAT_KEY, STREAM
from resnet_deploy.graph.links import Links
from resnet_deploy.graph.optimized import OptimizedGraph
from resnet_deploy.quantization.float_operators import is_float_everywhere, may_be_part
from resnet_deploy.quantization.plan import INPUT_RANGE, OWN_RANGE
from resnet_deploy.results import FloatOp, Inspection
from resnet_deploy.runners.ort_runner import session_options
from resnet_deploy.spec import SessionSpec

_FLOAT_COMPUTE = frozenset({"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "ConvTranspose"})

_STREAM_LAYER = "the residual stream"
_IN_STREAM = "it is kept in float"

_MOVES = INPUT_RANGE | {"Split"}
"""Of the Slices that the file has, ONNX Runtime may make a Split."""


def inspect_int8(path: Path, exclude: tuple[str, ...] = ()) -> Inspection:
    """Return what ONNX Runtime runs for the int8 file at ``path``, with all optimisations.

    Reported are float compute operators, DequantizeLinear, QuantizeLinear and other float operators
    between int8 operators, and a Transpose between two of them. Float work before the first
    QuantizeLinear and after the last int8 operator is not: it prepares the image and serves the
    logits. ``exclude`` are the globs of the layers that were asked to stay
    float: what runs in float together with them is marked as requested, and so are the stages that
    stay float because the net is faster so, and a residual stream that is kept in float, except for
    layers next to it that fell back. Operators that are float on purpose in every int8 net
    (LayerNormalization, GELU, Softmax), and what ONNX Runtime converts around them, are intended.

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

    with scratch_folder() as folder:
        target = folder / "optimised.onnx"
        options = session_options(SessionSpec(threads=1))
        options.optimized_model_filepath = str(target)
        try:
            ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise RunnerError(
                f"ONNX Runtime refuses the int8 graph: {runtime_reason(error)}"
            ) from error
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
    links = Links(optimised.graph)
    vectors = _vectors(optimised.graph)
    origin = OptimizedGraph(source.graph, optimised.graph)
    explain = _Explain(source, origin)
    int8 = [node for node in nodes if _is_int8(node)]
    before, behind = _reached(int8, links.before), _reached(int8, links.behind)
    asked = [
        node
        for node in nodes
        if not _is_int8(node)
        and (
            any(fnmatchcase(origin.module(node), glob) for glob in exclude)
            or _float_mark(origin.source(node)) not in (None, STREAM)
        )
    ]

    def float_neighbours(node: onnx.NodeProto) -> list[onnx.NodeProto]:
        return [near for near in links.before(node) + links.behind(node) if not _is_int8(near)]

    def parts(node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Return what is float because ``node`` is: not what was to be int8 and fell back."""
        return [
            near
            for near in float_neighbours(node)
            if may_be_part(near, links) and not explain.fell_back(near)
        ]

    requested = _reached(asked, float_neighbours)
    stream = _reached([n for n in nodes if _float_mark(origin.source(n)) == STREAM], parts)
    intended = _reached([node for node in nodes if is_float_everywhere(node, links)], parts)

    found = []
    for node in nodes:
        if _is_int8(node):
            continue
        between = node.output[0] in behind and node.output[0] in before
        # In front of the pool the image may be one pixel, whose layout costs nothing; so may a
        # vector's.
        stray = node.output[0] not in vectors and all(
            _is_int8(reader) and reader.op_type != "QLinearGlobalAveragePool"
            for reader in links.readers[node.output[0]]
        )
        if node.op_type in _FLOAT_COMPUTE or (between and node.op_type not in _MOVES):
            reason = explain.reason(node)
        elif between and node.op_type == "Transpose" and stray:
            reason = "the layout changes between two int8 operators"
        else:
            continue
        if node.output[0] in stream:
            found.append(
                FloatOp(
                    layer=_STREAM_LAYER, op_type=node.op_type, reason=_IN_STREAM, requested=True
                )
            )
            continue
        found.append(
            FloatOp(
                layer=origin.module(node),
                op_type=node.op_type,
                reason=reason,
                # Where a float layer puts its changes of layout is ONNX Runtime's choice.
                requested=node.output[0] in requested
                or (bool(exclude) and node.op_type == "Transpose"),
                intended=node.output[0] in intended,
            )
        )
    return found


def _float_mark(source: onnx.NodeProto | None) -> str | None:
    """Return the value of ``FLOAT_KEY`` of a node of the file, or None where it has none."""
    entries = () if source is None else source.metadata_props
    return next((entry.value for entry in entries if entry.key == FLOAT_KEY), None)


def _vectors(graph: onnx.GraphProto) -> set[str]:
    """Return the tensors that are computed from pooled images alone; in graph order."""
    found: set[str] = set()
    computed = {name for node in graph.node for name in node.output}
    for node in graph.node:
        pools = node.op_type in ("GlobalAveragePool", "QLinearGlobalAveragePool")
        inputs = [name for name in node.input if name in computed]
        if pools or (inputs and found.issuperset(inputs)):
            found.update(node.output)
    return found


def _reached(
    start: Iterable[onnx.NodeProto], step: Callable[[onnx.NodeProto], list[onnx.NodeProto]]
) -> set[str]:
    """Return the outputs of the nodes ``start``, and of all that ``step`` leads to from there."""
    reached: set[str] = set()
    waiting = list(start)
    while waiting:
        node = waiting.pop()
        if node.output[0] not in reached:
            reached.update(node.output)
            waiting += step(node)
    return reached


class _Explain:
    """Says why an operator of the optimised graph stayed in float."""

    def __init__(self, source: onnx.ModelProto, origin: OptimizedGraph) -> None:
        self._origin = origin
        self._links = Links(source.graph)
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

    def fell_back(self, node: onnx.NodeProto) -> bool:
        """Whether the file wants ``node`` in int8: quantized inputs and a quantized output."""
        original = self._origin.source(node)
        if original is None or original.op_type not in OWN_RANGE | INPUT_RANGE:
            return False
        computed = [name for name in original.input if name in self._links.producer]
        following = self._links.readers[original.output[0]]
        if len(following) == 1 and following[0].op_type in ("Relu", "Clip"):
            following = self._links.readers[following[0].output[0]]
        wanted = any(reader.op_type == "QuantizeLinear" for reader in following)
        return wanted and all(map(self._is_dequantized, computed))

    def _refused(self, node: onnx.NodeProto) -> str:
        """Return the fusion rule of ONNX Runtime (qdq_selectors.cc) that ``node`` breaks."""
        if any(not self._is_dequantized(name) for name in node.input[:2] if name):
            return "one of its inputs has no DequantizeLinear"
        following = self._links.readers[node.output[0]]
        if len(following) == 1 and following[0].op_type in ("Relu", "Clip"):
            following = self._links.readers[following[0].output[0]]
            quantized = [reader for reader in following if reader.op_type == "QuantizeLinear"]
            if quantized and self._zero_point(quantized[0]) not in (0, None):
                return "its ReLU is followed by a zero point other than 0, so it can't be absorbed"
        if [reader.op_type for reader in following] != ["QuantizeLinear"]:
            return "its output does not go to exactly one QuantizeLinear"
        return "ONNX Runtime refused to fuse it (bias scale, types or rank)"

    def _is_dequantized(self, name: str) -> bool:
        producer = self._links.producer.get(name)
        return producer is not None and producer.op_type == "DequantizeLinear"

    def _zero_point(self, node: onnx.NodeProto) -> int | None:
        tensor = self._arrays.get(node.input[2]) if len(node.input) > 2 else None
        return None if tensor is None else int(np.ravel(numpy_helper.to_array(tensor))[0])
