"""Every ONNX operator that can be rebuilt in PyTorch, and what converts it.

Semantics follow the ONNX operator specification, https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_deploy.interpreter import arithmetic, shapes
from resnet_deploy.interpreter.node import Call, Converted, Node, identity


def _all_inputs(function: Call) -> Callable[[Node], Converted]:
    return lambda node: (function, node.inputs)


def _first_input(function: Call) -> Callable[[Node], Converted]:
    return lambda node: (function, node.inputs[:1])


def _layer(make: Callable[[Node], Call]) -> Callable[[Node], Converted]:
    """What is made for the node takes its first input alone."""
    return lambda node: (make(node), node.inputs[:1])


def _divide(a: Tensor, b: Tensor) -> Tensor:
    """Integers are divided towards zero."""
    if a.is_floating_point():
        return a / b
    return torch.div(a, b, rounding_mode="trunc")


def _prelu(x: Tensor, slope: Tensor) -> Tensor:
    """The slope broadcasts as in ONNX: ``(C, 1, 1)`` is one per channel."""
    return torch.where(x < 0, slope * x, x)


def _pairwise(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Node], Converted]:
    """One operator over any number of inputs, two at a time."""
    return lambda node: ((lambda *terms: reduce(function, terms)), node.inputs)


CONVERTERS: dict[str, Callable[[Node], Converted]] = {
    "Add": _all_inputs(operator.add),
    "Abs": _first_input(torch.abs),
    "AveragePool": arithmetic.convert_average_pool,
    "BatchNormalization": arithmetic.convert_batch_norm,
    "Cast": shapes.convert_cast,
    "Clip": arithmetic.convert_clip,
    "Concat": shapes.convert_concat,
    "Constant": shapes.convert_constant,
    "Conv": arithmetic.convert_conv,
    "DequantizeLinear": arithmetic.convert_dequantize,
    "Div": _all_inputs(_divide),
    "Dropout": _first_input(identity),
    "Elu": _layer(lambda node: nn.ELU(node.attributes.get("alpha", 1.0))),
    "Erf": _first_input(torch.erf),
    "Exp": _first_input(torch.exp),
    "Expand": shapes.convert_expand,
    "Flatten": shapes.convert_flatten,
    "Gather": shapes.convert_gather,
    "Gemm": arithmetic.convert_gemm,
    "GlobalAveragePool": _layer(lambda node: nn.AdaptiveAvgPool2d(1)),
    "HardSigmoid": arithmetic.convert_hard_sigmoid,
    "HardSwish": _first_input(F.hardswish),
    "GlobalMaxPool": _layer(lambda node: nn.AdaptiveMaxPool2d(1)),
    "Identity": _first_input(identity),
    "LRN": arithmetic.convert_lrn,
    "LeakyRelu": _layer(lambda node: nn.LeakyReLU(node.attributes.get("alpha", 0.01))),
    "LpNormalization": arithmetic.convert_lp_normalization,
    "MatMul": arithmetic.convert_mat_mul,
    "Max": _pairwise(torch.maximum),
    "MaxPool": arithmetic.convert_max_pool,
    "Min": _pairwise(torch.minimum),
    "Mul": _all_inputs(operator.mul),
    "Neg": _first_input(torch.neg),
    "PRelu": _all_inputs(_prelu),
    "Pad": shapes.convert_pad,
    "Pow": _all_inputs(torch.pow),
    "QuantizeLinear": arithmetic.convert_quantize,
    "Reciprocal": _first_input(torch.reciprocal),
    "ReduceL2": arithmetic.convert_reduce(torch.linalg.vector_norm),
    "ReduceMean": arithmetic.convert_reduce(torch.mean),
    "ReduceSum": arithmetic.convert_reduce(torch.sum),
    "Relu": _layer(lambda node: nn.ReLU(inplace=node.inplace)),
    "Reshape": shapes.convert_reshape,
    "Shape": _first_input(lambda x: torch.tensor(x.shape, dtype=torch.int64)),
    "Sigmoid": _first_input(torch.sigmoid),
    "Slice": shapes.convert_slice,
    "Sqrt": _first_input(torch.sqrt),
    "Softmax": arithmetic.convert_softmax,
    "SpaceToDepth": shapes.convert_space_to_depth,
    "Squeeze": shapes.convert_squeeze,
    "Sub": _all_inputs(operator.sub),
    "Sum": _pairwise(operator.add),
    "Tanh": _first_input(torch.tanh),
    "TopK": arithmetic.convert_top_k,
    "Transpose": shapes.convert_transpose,
    "Unsqueeze": shapes.convert_unsqueeze,
}
"""Every operator that can be rebuilt."""

SEVERAL_OUTPUTS = frozenset({"TopK"})
"""Those whose call returns a tuple, one tensor per output of the node."""
