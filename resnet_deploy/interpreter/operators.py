"""Every ONNX operator that can be rebuilt in PyTorch, and what converts it.

Semantics follow the ONNX operator specification, https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_deploy.interpreter import arithmetic as torch_math
from resnet_deploy.interpreter import quantization as torch_quantize
from resnet_deploy.interpreter import shapes as torch_shapes
from resnet_deploy.interpreter.node import Call, Converted, Node, identity


def _all_inputs(function: Call) -> Callable[[Node], Converted]:
    return lambda node: (function, node.inputs)


def _first_input(function: Call) -> Callable[[Node], Converted]:
    return lambda node: (function, node.inputs[:1])


def _divide(a: Tensor, b: Tensor) -> Tensor:
    """Integers are divided towards zero."""
    if a.is_floating_point():
        return a / b
    return torch.div(a, b, rounding_mode="trunc")


def _pairwise(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Node], Converted]:
    """One operator over any number of inputs, two at a time."""
    return lambda node: ((lambda *terms: reduce(function, terms)), node.inputs)


CONVERTERS: dict[str, Callable[[Node], Converted]] = {
    "Add": _all_inputs(operator.add),
    "AveragePool": torch_math.convert_average_pool,
    "BatchNormalization": torch_math.convert_batch_norm,
    "Cast": torch_shapes.convert_cast,
    "Clip": torch_math.convert_clip,
    "Concat": torch_shapes.convert_concat,
    "Constant": torch_shapes.convert_constant,
    "Conv": torch_math.convert_conv,
    "DequantizeLinear": torch_quantize.convert_dequantize,
    "Div": _all_inputs(_divide),
    "Dropout": _first_input(identity),
    "Expand": torch_shapes.convert_expand,
    "Flatten": torch_shapes.convert_flatten,
    "Gather": torch_shapes.convert_gather,
    "Gemm": torch_math.convert_gemm,
    "GlobalAveragePool": torch_math.convert_global_average_pool,
    "HardSigmoid": torch_math.convert_hard_sigmoid,
    "HardSwish": _first_input(F.hardswish),
    "Identity": _first_input(identity),
    "LeakyRelu": torch_math.convert_leaky_relu,
    "MatMul": torch_math.convert_mat_mul,
    "Max": _pairwise(torch.maximum),
    "MaxPool": torch_math.convert_max_pool,
    "Min": _pairwise(torch.minimum),
    "Mul": _all_inputs(operator.mul),
    "Pad": torch_shapes.convert_pad,
    "QuantizeLinear": torch_quantize.convert_quantize,
    "ReduceMean": torch_math.convert_reduce_mean,
    "Relu": torch_math.convert_relu,
    "Reshape": torch_shapes.convert_reshape,
    "Shape": _first_input(torch_shapes.convert_shape),
    "Sigmoid": _first_input(torch.sigmoid),
    "Slice": torch_shapes.convert_slice,
    "Softmax": torch_math.convert_softmax,
    "SpaceToDepth": torch_shapes.convert_space_to_depth,
    "Squeeze": torch_shapes.convert_squeeze,
    "Sub": _all_inputs(operator.sub),
    "Sum": _pairwise(operator.add),
    "TopK": torch_math.convert_top_k,
    "Transpose": torch_shapes.convert_transpose,
    "Unsqueeze": torch_shapes.convert_unsqueeze,
}
"""Every operator that can be rebuilt."""

SEVERAL_OUTPUTS = frozenset({"TopK"})
"""Those whose call returns a tuple, one tensor per output of the node."""
