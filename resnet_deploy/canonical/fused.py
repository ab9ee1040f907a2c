"""Operators that ONNX Runtime fused  =>  the operators of ONNX that they stand for.

A graph that ONNX Runtime optimised and saved (``SessionOptions.optimized_model_filepath``) has
convolutions with their activation and sum, and GELU in one node. At its highest level weights are
stored in blocks as wide as the registers of the CPU that it ran on, and nothing in the file says
how wide: such a file is refused by name. What stays as it is runs on ONNX Runtime alone.

Source: onnxruntime/core/graph/contrib_ops/contrib_defs.cc, docs/ContribOperators.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from resnet_deploy.canonical.order import set_nodes
from resnet_deploy.canonical.outputs import drop_unused
from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.graph.releases import opset_of
from resnet_deploy.graph.unique_name import unique_name

_MICROSOFT = "com.microsoft"
_BLOCKED = ("com.microsoft.nchwc", "com.ms.internal.nhwc")
_BYTES_OF_FILES = ("ai.onnx.contrib", "com.microsoft.extensions")

_CLIP_BY_INPUT = 11
"""Opset from which Clip takes its bounds as inputs."""

_LAYER_NORM = 17
"""Opset from which there is LayerNormalization."""

Rest = Callable[[NodeProto, "_Writer"], list[NodeProto]]
"""Returns the nodes that a fused one stands for."""


def unfuse(model: onnx.ModelProto) -> int:
    """Take fused operators apart, in place.

    Raises:
        UnsupportedGraphError: weights are in blocks, or the input is the bytes of a file.
    """
    graph = model.graph
    _check_domains(graph)
    if not any(map(_rule, graph.node)):
        return 0
    writer = _Writer(model)
    nodes: list[NodeProto] = []
    done = 0
    for node in graph.node:
        rule = _rule(node)
        apart = [] if rule is None else rule(node, writer)
        done += bool(apart)
        nodes += apart or [node]
    set_nodes(graph, nodes)
    drop_unused(model)
    return done


class _Writer:
    """Makes names that are free, and constants."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = model.graph
        self.opset = opset_of(model)
        self._taken = {tensor.name for tensor in model.graph.initializer}
        self._taken |= {name for node in model.graph.node for name in (*node.input, *node.output)}

    def name(self, stem: str) -> str:
        found = unique_name(stem, self._taken)
        self._taken.add(found)
        return found

    def constant(self, value: float, stem: str) -> str:
        name = self.name(stem)
        self._graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
        return name

    def activation(
        self, kind: str, params: Sequence[float], source: str, result: str
    ) -> list[NodeProto]:
        """Return the nodes that compute ``kind`` of ``source``; none where it is not known."""
        if kind in ("Relu", "Sigmoid", "Tanh", "HardSwish") and not params:
            return [helper.make_node(kind, [source], [result])]
        if kind == "LeakyRelu" and len(params) == 1:
            return [helper.make_node(kind, [source], [result], alpha=params[0])]
        if kind == "HardSigmoid" and len(params) == 2:
            return [helper.make_node(kind, [source], [result], alpha=params[0], beta=params[1])]
        if kind == "Clip" and len(params) == 2:
            if self.opset < _CLIP_BY_INPUT:
                return [helper.make_node(kind, [source], [result], min=params[0], max=params[1])]
            bounds = [self.constant(value, f"{result}_bound") for value in params]
            return [helper.make_node(kind, [source, *bounds], [result])]
        return []


def _check_domains(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        if node.domain in _BLOCKED or (
            node.domain == _MICROSOFT and node.op_type.startswith("Nhwc")
        ):
            raise UnsupportedGraphError(
                f"ONNX Runtime optimised and saved this file for one kind of CPU ({node.domain} "
                f"{node.op_type}), with weights in blocks of a width that it does not tell: give "
                "the file that it was made of, or save that at ORT_ENABLE_BASIC"
            )
        if node.domain in _BYTES_OF_FILES:
            first = next((n for n in graph.node if n.op_type == "Conv"), None)
            where = "the first convolution" if first is None else repr(first.input[0][:80])
            raise UnsupportedGraphError(
                f"it has operators of onnxruntime-extensions ({node.op_type}), which take the "
                "bytes of a picture's file: give the net alone, cut off with "
                f"onnx.utils.extract_model at the tensor {where}"
            )


def _rule(node: NodeProto) -> Rest | None:
    rules = _RULES if node.domain == _MICROSOFT else _RULES_OF_ONNX
    return rules.get(node.op_type) if node.domain in (_MICROSOFT, "", "ai.onnx") else None


def _given(node: NodeProto) -> Mapping[str, onnx.AttributeProto]:
    return {attribute.name: attribute for attribute in node.attribute}


def _plain(node: NodeProto, op_type: str, inputs: Sequence[str], output: str) -> NodeProto:
    """Return ``node`` as ONNX's ``op_type``, without what says how it is activated."""
    result = NodeProto()
    result.CopyFrom(node)
    result.op_type, result.domain = op_type, ""
    kept = [a for a in node.attribute if not a.name.startswith("activation")]
    del result.attribute[:], result.input[:], result.output[:]
    result.attribute.extend(kept)
    result.input.extend(inputs)
    result.output.append(output)
    return result


def _fused_conv(node: NodeProto, writer: _Writer) -> list[NodeProto]:
    given, result = _given(node), node.output[0]
    kind = given["activation"].s.decode(errors="replace") if "activation" in given else ""
    params = list(given["activation_params"].floats) if "activation_params" in given else []
    inputs = list(node.input)
    summed = inputs[3] if len(inputs) > 3 else ""
    inputs = inputs[:3] if len(inputs) > 2 and inputs[2] else inputs[:2]
    last = writer.name(f"{result}_conv") if kind or summed else result
    nodes = [_plain(node, "Conv", inputs, last)]
    if summed:
        total = writer.name(f"{result}_sum") if kind else result
        nodes.append(helper.make_node("Add", [last, summed], [total]))
        last = total
    if not kind:
        return nodes
    behind = writer.activation(kind, params, last, result)
    return [*nodes, *behind] if behind else []


def _fused_gemm(node: NodeProto, writer: _Writer) -> list[NodeProto]:
    given, result = _given(node), node.output[0]
    kind = given["activation"].s.decode(errors="replace") if "activation" in given else ""
    known = [given.get(f"activation_{name}") for name in ("alpha", "beta", "gamma")]
    params = [value.f for value in known if value is not None]
    last = writer.name(f"{result}_gemm") if kind else result
    nodes = [_plain(node, "Gemm", list(node.input), last)]
    if not kind:
        return nodes
    behind = writer.activation(kind, params, last, result)
    return [*nodes, *behind] if behind else []


def _gelu(node: NodeProto, writer: _Writer) -> list[NodeProto]:
    """``x / 2 (1 + erf(x / sqrt(2)))``; BiasGelu adds a bias first."""
    x, result = node.input[0], node.output[0]
    nodes: list[NodeProto] = []
    if len(node.input) > 1 and node.input[1]:
        x = writer.name(f"{result}_biased")
        nodes.append(helper.make_node("Add", list(node.input), [x]))
    root, one, half = (
        writer.constant(value, f"{result}_{word}")
        for value, word in ((2**0.5, "root"), (1.0, "one"), (0.5, "half"))
    )
    scaled, erf, above, whole = (
        writer.name(f"{result}_{word}") for word in ("scaled", "erf", "above", "whole")
    )
    return [
        *nodes,
        helper.make_node("Div", [x, root], [scaled]),
        helper.make_node("Erf", [scaled], [erf]),
        helper.make_node("Add", [erf, one], [above]),
        helper.make_node("Mul", [x, above], [whole]),
        helper.make_node("Mul", [whole, half], [result]),
    ]


def _quick_gelu(node: NodeProto, writer: _Writer) -> list[NodeProto]:
    return _swish(node, writer, 1.702)


def _swish(node: NodeProto, writer: _Writer, default: float = 1) -> list[NodeProto]:
    """``x sigmoid(alpha x)``, which is SiLU where alpha is 1."""
    given, x, result = _given(node), node.input[0], node.output[0]
    alpha = given["alpha"].f if "alpha" in given else default
    nodes, inner = [], x
    if alpha != 1:
        inner = writer.name(f"{result}_scaled")
        factor = writer.constant(alpha, f"{result}_alpha")
        nodes.append(helper.make_node("Mul", [x, factor], [inner]))
    gate = writer.name(f"{result}_gate")
    return [
        *nodes,
        helper.make_node("Sigmoid", [inner], [gate]),
        helper.make_node("Mul", [x, gate], [result]),
    ]


def _skip_layer_norm(node: NodeProto, writer: _Writer) -> list[NodeProto]:
    """The sum of a shortcut and LayerNormalization of it."""
    inputs, outputs, given = list(node.input), list(node.output), _given(node)
    if writer.opset < _LAYER_NORM or any(outputs[1:3]):
        return []
    total = outputs[3] if len(outputs) > 3 and outputs[3] else writer.name(f"{outputs[0]}_sum")
    nodes: list[NodeProto] = []
    first = total
    if len(inputs) > 4 and inputs[4]:
        first = writer.name(f"{outputs[0]}_unbiased")
    nodes.append(helper.make_node("Add", inputs[:2], [first]))
    if first != total:
        nodes.append(helper.make_node("Add", [first, inputs[4]], [total]))
    epsilon = given["epsilon"].f if "epsilon" in given else 1e-12
    weights = [name for name in inputs[2:4] if name]
    norm = helper.make_node(
        "LayerNormalization", [total, *weights], outputs[:1], axis=-1, epsilon=epsilon
    )
    return [*nodes, norm]


_RULES: Mapping[str, Rest] = {
    "FusedConv": _fused_conv,
    "FusedGemm": _fused_gemm,
    "Gelu": _gelu,
    "BiasGelu": _gelu,
    "QuickGelu": _quick_gelu,
    "SkipLayerNormalization": _skip_layer_norm,
}

_RULES_OF_ONNX: Mapping[str, Rest] = {"Swish": _swish}
"""Opset 24 has it; nothing in front of it does."""
