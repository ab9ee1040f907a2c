"""From the graph that ``export`` quantizes to the same operators with gradients."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor, nn

from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.graph.constants import constant, ints
from resnet_deploy.graph.module_names import torch_module
from resnet_deploy.interpreter.layers import max_pool
from resnet_deploy.passes.zero_pad_shortcut import COPIES_KEY
from resnet_deploy.quantization.kernels import group_of, pair_limits
from resnet_deploy.quantization.plan import WEIGHTED, Plan, activation_inputs
from resnet_deploy.quantization.weights import channel_axis, reads_image, weight_of
from resnet_deploy.rewrites.pixel_input import PIXELS_KEY
from resnet_deploy.spec import InputContract
from resnet_deploy.training.fake_quant import (
    Affine,
    Convolution,
    Copy,
    Dequantize,
    GlobalAverage,
    Move,
    Quantize,
    Step,
    Sum,
    Weighted,
)

_FRONT = frozenset({"Pad", "Mul", "Add"})
"""Of which ``rewrites/pixel_input.py`` makes pixels."""


def steps_of(
    model: ir.Model, plan: Plan, module: nn.Module, preprocess: InputContract
) -> tuple[Step, ...]:
    """Return the operators of an int8 graph in their order.

    Args:
        model: the fp32 graph, rewritten for int8.
        plan: which of its operators run in int8.
        module: the folded network that the graph was exported from; its convolutions and linear
            layers hold the weights.
        preprocess: how images were normalised.

    Raises:
        UnsupportedGraphError: an operator has no counterpart here, or a weight is in no layer.
    """
    builder = _Builder(plan, module, preprocess, str(model.graph.inputs[0].name))
    for node in model.graph:
        builder.add(node)
    builder.finish(model.graph)
    return tuple(builder.steps)


class _Builder:
    def __init__(
        self, plan: Plan, module: nn.Module, preprocess: InputContract, source: str
    ) -> None:
        self.steps: list[Step] = []
        self._plan = plan
        self._module = module
        self._preprocess = preprocess
        self._front = {source}
        self._pixels: set[str] = set()
        self._in_codes: set[ir.Value] = set()
        self._used: set[int] = set()
        self._absorbed = {
            output.producer()
            for node, output in plan.outputs.items()
            if output is not node.outputs[0]
        }

    def add(self, node: ir.Node) -> None:
        """Add the steps of ``node``."""
        if node in self._absorbed and node.op_type == "Relu":
            return
        if node in self._plan.nodes:
            for value in activation_inputs(node):
                self._to_codes(value)
            self.steps.append(self._int8(node))
            self._in_codes.add(self._plan.outputs[node])
        elif node.op_type in _FRONT and _name(node.inputs[0]) in self._front:
            self._add_front(node)
        else:
            raise _unsupported(node)

    def finish(self, graph: ir.Graph) -> None:
        """Turn codes at the end into real numbers; see that all weights are in use."""
        if len(graph.outputs) != 1:
            raise UnsupportedGraphError("--qat trains networks with one output only")
        (output,) = graph.outputs
        if output in self._plan.tensors:
            tensor = self._tensor(output)
            self.steps.append(
                Dequantize(reads=(_name(output),), gives=_name(output), tensor=tensor)
            )
        for name, parameter in self._module.named_parameters():
            if id(parameter) not in self._used:
                raise UnsupportedGraphError(
                    f"--qat can't train {name}: it is in no convolution or linear layer that "
                    "becomes int8"
                )

    def _to_codes(self, value: ir.Value) -> None:
        if value in self._in_codes:
            return
        if _name(value) not in self._front:
            producer = value.producer()
            assert producer is not None, "the plan takes computed tensors only"
            raise _unsupported(producer)
        self._in_codes.add(value)
        name = _name(value)
        self.steps.append(Quantize(reads=(name,), gives=name, tensor=self._tensor(value)))

    def _add_front(self, node: ir.Node) -> None:
        by = constant(node.inputs[1])
        if by is None:
            raise _unsupported(node)
        output = _name(node.outputs[0])
        self._front.add(output)
        if PIXELS_KEY in node.metadata_props:
            self._pixels.add(output)
        self.steps.append(
            Affine(
                reads=(_name(node.inputs[0]),),
                gives=output,
                operator=node.op_type,
                by=torch.from_numpy(np.array(by)),
            )
        )

    def _int8(self, node: ir.Node) -> Step:
        inputs = activation_inputs(node)
        reads, gives = tuple(_name(value) for value in inputs), _name(self._plan.outputs[node])
        if COPIES_KEY in node.metadata_props:
            return _copy(node, reads, gives)
        if node.op_type in WEIGHTED:
            return self._weighted(node, reads, gives)
        relu = self._plan.outputs[node] is not node.outputs[0]
        if node.op_type == "Add":
            first, second = (self._tensor(value) for value in inputs)
            target = self._tensor(self._plan.outputs[node])
            return Sum(reads=reads, gives=gives, addends=(first, second), target=target, relu=relu)
        if node.op_type == "GlobalAveragePool":
            source, target = self._tensor(inputs[0]), self._tensor(self._plan.outputs[node])
            return GlobalAverage(reads=reads, gives=gives, source=source, target=target)
        if node.op_type == "MaxPool":
            attributes = {name: attribute.value for name, attribute in node.attributes.items()}
            return Move(reads=reads, gives=gives, layer=max_pool(attributes))
        if node.op_type == "Flatten" and node.attributes.get_int("axis", 1) == 1:
            return Move(reads=reads, gives=gives, layer=nn.Flatten())
        raise _unsupported(node)

    def _weighted(self, node: ir.Node, reads: tuple[str, ...], gives: str) -> Step:
        layer = self._layer(node)
        slope, offset = self._pixel_map(reads[0])
        output = self._plan.outputs[node]
        source = self._tensor(activation_inputs(node)[0])
        target = self._tensor(output) if output in self._plan.tensors else None
        relu = output is not node.outputs[0]
        limits = pair_limits(node, weight_of(node), channel_axis(node))
        if isinstance(layer, nn.Linear):
            return Weighted(
                reads=reads,
                gives=gives,
                layer=layer,
                source=source,
                target=target,
                relu=relu,
                limits=limits,
            )
        top, left, bottom, right = ints(node, "pads", (0, 0, 0, 0))
        return Convolution(
            reads=reads,
            gives=gives,
            layer=layer,
            source=source,
            target=target,
            relu=relu,
            limits=limits,
            any_order=reads_image(self._plan, node),
            slope=slope,
            offset=offset,
            strides=_pair(node, "strides"),
            pads=(top, left, bottom, right),
            dilations=_pair(node, "dilations"),
            groups=group_of(node),
        )

    def _layer(self, node: ir.Node) -> nn.Conv2d | nn.Linear:
        """Return the module that holds the weights of ``node``."""
        layer = dict(self._module.named_modules()).get(torch_module(node) or "")
        kind = nn.Conv2d if node.op_type == "Conv" else nn.Linear
        if type(layer) is not kind:
            raise UnsupportedGraphError(
                f"--qat can't train {node.name}: its weights are not those of a "
                f"{kind.__name__} of the network"
            )
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        self._used.update(id(parameter) for parameter in layer.parameters())
        return layer

    def _pixel_map(self, tensor: str) -> tuple[Tensor, Tensor] | tuple[None, None]:
        if tensor not in self._pixels:
            return None, None
        std = torch.tensor(self._preprocess.std, dtype=torch.float64)
        mean = torch.tensor(self._preprocess.mean, dtype=torch.float64)
        return 255 * std, 255 * mean

    def _tensor(self, value: ir.Value) -> str:
        """Return the name of the tensor whose quantization parameters ``value`` has."""
        return _name(self._plan.tensors[value])


def _copy(node: ir.Node, reads: tuple[str, ...], gives: str) -> Copy:
    weight = constant(node.inputs[1])
    assert weight is not None, "passes/zero_pad_shortcut.py writes constant weights"
    (used,) = np.nonzero(weight.any(axis=(1, 2, 3)))
    return Copy(
        reads=reads,
        gives=gives,
        strides=_pair(node, "strides"),
        before=int(used[0]),
        after=len(weight) - 1 - int(used[-1]),
    )


def _pair(node: ir.Node, name: str) -> tuple[int, int]:
    first, second = ints(node, name, (1, 1))
    return first, second


def _name(value: ir.Value | None) -> str:
    return "" if value is None else str(value.name)


def _unsupported(node: ir.Node) -> UnsupportedGraphError:
    return UnsupportedGraphError(
        f"--qat can't train {node.name}: {node.op_type} has no int8-aware form; train without "
        "--qat, and give export --calibration"
    )
