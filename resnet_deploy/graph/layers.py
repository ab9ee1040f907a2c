"""The layers of a graph as their owner knows them: torch modules and the tensors they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import onnx
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.graph.channel_factors import marked_factors
from resnet_deploy.graph.constants import constant, optional_input
from resnet_deploy.graph.module_names import module_of

LAYERS = frozenset(
    {"Conv", "Gemm", "MatMul", "Add", "MaxPool", "AveragePool", "GlobalAveragePool", "Concat"}
)
"""Operators whose result counts as a layer's."""

LAYOUT_KEY = "resnet_deploy.layout"
"""Marks operators that only lay out memory for the layer they belong to: no layers of their own."""

FLOAT_KEY = "resnet_deploy.float"
"""Marks operators that stay float because the net is faster so, or are of the float ``STREAM``; no
int8 pass touches them."""

STREAM = "residual stream"
"""The value of ``FLOAT_KEY`` of a residual stream that is kept in float."""

WRITES_FLOAT_KEY = "resnet_deploy.writes_float"
"""Marks int8 convolutions whose result is not rounded: the float stream takes it."""

_LAST_CODE = 255


@dataclass(frozen=True)
class Layer:
    """One layer and the tensor that holds its result.

    ``name`` is the torch module (``layer3.0.conv2``; the block, ``layer3.0``, for its sum).
    ``activated``: the tensor is behind the layer's ReLU, which ends at ``ceiling`` if it is a
    ReLU6. In an int8 graph ``observed`` is the u8 tensor to look at, with its ``scale`` and
    ``zero_point``; in fp32 it is ``tensor`` itself. ``factors`` ``(C,)`` are what its channels are
    multiplied by, as :mod:`resnet_deploy.graph.channel_factors` says; None: by nothing.
    ``summed``: in int8 it is a term of a sum with a ReLU behind it, and its range may leave out
    what makes no difference there.
    """

    name: str
    tensor: str
    activated: bool
    observed: str
    ceiling: float | None = None
    scale: float = 1.0
    zero_point: int = 0
    factors: Array | None = field(default=None, compare=False)
    summed: bool = False

    def value(self, observed: Mapping[str, Array]) -> Array:
        """Return the layer's result in float32 from the tensors that were observed.

        Factors of channels are taken out.
        """
        found = observed[self.observed]
        if self.observed != self.tensor:
            found = _float32((found.astype(np.float32) - self.zero_point) * self.scale)
        return found if self.factors is None else _float32(found / self._factors_of(found))

    def within_range(self, values: Array) -> Array:
        """Return ``values`` of the same layer in fp32, clipped as int8 means to clip them.

        What an error in the range does shows in the sum.
        """
        if not self.summed:
            return values
        own = self._factors_of(values)
        low, high = (self.scale * (end - self.zero_point) / own for end in (0, _LAST_CODE))
        return _float32(np.clip(values, low, high))

    def _factors_of(self, values: Array) -> Array:
        """Return the factors in the shape of ``values``; 1 where they are of another tensor."""
        if self.factors is None or values.ndim <= 1 or values.shape[1] != len(self.factors):
            return np.ones(())
        return self.factors.reshape(-1, *(1,) * (values.ndim - 2))


def _float32(values: Array) -> Array:
    return np.asarray(values, np.float32)


UNSCALED_KEY = "resnet_deploy.unscaled"
"""Marks int8 layers that give their result with a factor per channel, and names the float tensor
that has it without; empty where there is none."""


def absorbed_output(node: ir.Node) -> ir.Value:
    """Return the output of ``node``, or of the ReLU that is computed together with it."""
    output = node.outputs[0]
    uses = list(output.uses())
    if node.op_type not in ("Conv", "Gemm", "Add") or output.is_graph_output() or len(uses) != 1:
        return output
    return uses[0].node.outputs[0] if _is_relu(uses[0].node) else output


def _is_relu(node: ir.Node) -> bool:
    """A Clip from zero (ReLU6) counts: its upper end is the end of the u8 range."""
    if node.op_type == "Clip":
        low = constant(optional_input(node, 1))
        return low is not None and float(low) == 0.0
    return node.op_type == "Relu"


def layers_of(model: onnx.ModelProto) -> tuple[Layer, ...]:
    """Return the layers of an fp32 or QDQ graph in graph order, the logits excepted."""
    graph = ir.from_proto(model).graph
    layers: dict[str, Layer] = {}
    values = {str(value.name): value for node in graph for value in node.outputs}
    for node in graph:
        if node.op_type not in LAYERS or LAYOUT_KEY in node.metadata_props:
            continue
        output = absorbed_output(node)
        if output.is_graph_output() or not output.name:
            continue
        activated = output is not node.outputs[0]
        if UNSCALED_KEY in node.metadata_props:
            unscaled = values.get(node.metadata_props[UNSCALED_KEY])
            if unscaled is None:
                continue
            output = unscaled
        name = module_of(node)
        if name in layers:
            name = str(node.name or output.name)
        plain = _layer(name, output, activated=activated)
        layers[name] = replace(plain, factors=marked_factors(node))
    return tuple(layers.values())


def _layer(name: str, output: ir.Value, *, activated: bool) -> Layer:
    ceiling = _ceiling(output)
    output = _usual_shape(output)
    tensor = str(output.name)
    plain = Layer(name, tensor, activated=activated, observed=tensor, ceiling=ceiling)
    uses = list(output.uses())
    if len(uses) == 1 and uses[0].node.op_type == "QuantizeLinear":
        quantize = uses[0].node
        scale, zero_point = constant(quantize.inputs[1]), constant(quantize.inputs[2])
        if scale is not None and zero_point is not None and scale.ndim == 0:
            observed = str(quantize.outputs[0].name)
            return replace(
                plain,
                observed=observed,
                scale=float(scale),
                zero_point=int(zero_point),
                summed=_is_summed(quantize.outputs[0]),
            )
    return plain


def _is_summed(codes: ir.Value) -> bool:
    """Whether ``codes`` are read by nothing but a sum with a ReLU behind it."""
    for _ in range(2):  # DequantizeLinear, Add
        uses = list(codes.uses())
        if len(uses) != 1:
            return False
        node = uses[0].node
        codes = node.outputs[0]
    return node.op_type == "Add" and absorbed_output(node) is not codes


def result_of(node: ir.Node) -> ir.Value:
    """Return the tensor that holds the result of the layer ``node``, in its usual shape."""
    return _usual_shape(absorbed_output(node))


def _usual_shape(output: ir.Value) -> ir.Value:
    """Return ``output`` behind what gives a widened convolution's result its usual shape."""
    value = output
    while len(uses := list(value.uses())) == 1:
        node = uses[0].node
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            if LAYOUT_KEY not in node.metadata_props:
                break
            output = node.outputs[0]
        value = node.outputs[0]
    return output


def _ceiling(output: ir.Value) -> float | None:
    """Return the upper end of the Clip that ``output`` comes from, if it has one."""
    clip = output.producer()
    if clip is None or clip.op_type != "Clip":
        return None
    high = constant(optional_input(clip, 2))
    return None if high is None else float(high)


def is_plain_gemm(node: ir.Node) -> bool:
    """Whether a Gemm is ``x W^T + b`` or ``x W + b``, without factors or a transposed input."""
    factors = [node.attributes.get_float(name, 1.0) for name in ("alpha", "beta")]
    return factors == [1.0, 1.0] and not node.attributes.get_int("transA", 0)


def auto_pad(node: ir.Node) -> str:
    """Return how a window pads by itself; ``NOTSET``: by its attribute ``pads``."""
    return node.attributes.get_string("auto_pad", "NOTSET") or "NOTSET"
