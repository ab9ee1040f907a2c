"""A PyTorch module rebuilt from an ONNX file alone, operator by operator.

Importing this module imports torch; :mod:`resnet_deploy.runners.torch_runner` does so only when
a model is opened.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.graph.module_names import module_of, torch_module
from resnet_deploy.graph.releases import opset_of
from resnet_deploy.interpreter.node import Call, Node
from resnet_deploy.interpreter.operators import CONVERTERS, SEVERAL_OUTPUTS

_FRESH = frozenset({"Conv", "Add", "BatchNormalization"})
"""Operators whose result is new memory, which a following ReLU may overwrite."""


@dataclass(frozen=True)
class _Step:
    """``values[outputs] = call(*values[inputs])``, after which the slots in ``done`` are free."""

    call: Call
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    done: tuple[int, ...]


class OnnxModule(nn.Module):
    """An ONNX graph as eager PyTorch.

    Layers are real modules under the path of the torch module they came from
    (``layer3.0.conv2``), or under their ONNX node's name in a foreign file.

    Args:
        names: the tensor in each slot; the graph's input is the first.
        outputs: the slots of the graph's outputs, in their order.
        constants: slots that hold initializers, set before the first step.
    """

    def __init__(
        self,
        steps: Sequence[_Step],
        names: Sequence[str],
        outputs: Sequence[int],
        constants: dict[int, Tensor],
    ) -> None:
        super().__init__()
        self._steps = tuple(steps)
        self._names = tuple(names)
        self._outputs = tuple(outputs)
        self._constants = constants

    def forward(self, batch: Tensor) -> tuple[Tensor, ...]:
        """Return the graph's outputs for ``batch``; intermediate values are freed at once."""
        values = self._run(batch)
        return tuple(values[slot] for slot in self._outputs)

    def trace(self, batch: Tensor, tensors: Sequence[str]) -> dict[str, Tensor]:
        """Return the values of ``tensors``, by their names in the ONNX file.

        Raises:
            KeyError: no operator computes one of them.
        """
        slots = {name: slot for slot, name in enumerate(self._names)}
        wanted = {slots[name]: name for name in tensors}
        values = self._run(batch, tuple(wanted))
        return {name: values[slot] for slot, name in wanted.items()}

    def _run(self, batch: Tensor, kept: tuple[int, ...] = ()) -> list[Any]:
        """Return what is in each slot at the end; those in ``kept`` are not freed."""
        values: list[Any] = [None] * len(self._names)
        values[0] = batch
        for slot, constant in self._constants.items():
            values[slot] = constant
        for step in self._steps:
            results = _as_tuple(step.call(*[values[slot] for slot in step.inputs]))
            for slot, value in zip(step.outputs, results, strict=True):
                values[slot] = value
            for slot in step.done:
                if slot not in kept:
                    values[slot] = None
        return values


def module_from_onnx(model: onnx.ModelProto, *, inplace: bool = True) -> OnnxModule:
    """Return ``model`` as a float32 PyTorch module in evaluation mode, without gradients.

    QuantizeLinear and DequantizeLinear are computed in float32, rounding half to even and
    saturating, so an int8 file is emulated. Whatever depends on initializers only is computed
    here, once.

    Args:
        model: weights included; one input, one output or several.
        inplace: let a ReLU overwrite its input where nothing else reads it, as the networks of
            torchvision do. Off for a module whose intermediate values are wanted.

    Raises:
        UnsupportedGraphError: an operator, or one of its options, has no counterpart here; the
            message names it and its node.
    """
    builder = _Builder(model, inplace=inplace)
    for proto in model.graph.node:
        builder.add(proto)
    return builder.finish().eval().requires_grad_(False)


class _Builder:
    def __init__(self, model: onnx.ModelProto, *, inplace: bool) -> None:
        graph = model.graph
        self._opset = opset_of(model)
        self._inplace = inplace
        self._constants = {tensor.name: _tensor(tensor) for tensor in graph.initializer}
        self._input = next(v.name for v in graph.input if v.name not in self._constants)
        self._outputs = tuple(value.name for value in graph.output)
        self._uses = Counter(name for node in graph.node for name in node.input if name)
        self._uses.update(self._outputs)
        self._producers = {name: node.op_type for node in graph.node for name in node.output}
        self._calls: list[tuple[Call, tuple[str, ...], tuple[str, ...]]] = []
        self._modules: dict[str, nn.Module] = {}

    def add(self, proto: onnx.NodeProto) -> None:
        """Convert one node, or compute it now when all its inputs are known."""
        where = f"{proto.op_type} node {proto.name or proto.output[0]!r}"
        if proto.domain not in ("", "ai.onnx") or proto.op_type not in CONVERTERS:
            raise UnsupportedGraphError(f"{where} has no PyTorch counterpart here")
        node = Node(
            where=where,
            op_type=proto.op_type,
            opset=self._opset,
            inputs=tuple(proto.input),
            attributes={a.name: _attribute(a) for a in proto.attribute},
            constants=self._constants,
            outputs=sum(1 for name in proto.output if name and self._uses[name]),
            inplace=self._may_overwrite(proto),
        )
        call, inputs = CONVERTERS[proto.op_type](node)
        # Only what gives a tuple has a use for the other names: BatchNormalization lists some, too.
        outputs = tuple(proto.output if proto.op_type in SEVERAL_OUTPUTS else proto.output[:1])
        if all(name in self._constants for name in inputs):
            with torch.inference_mode(mode=False), torch.no_grad():
                results = _as_tuple(call(*[self._constants[name] for name in inputs]))
            self._constants.update(zip(outputs, results, strict=True))
            return
        if isinstance(call, nn.Module):
            self._modules[self._free_path(_path_of(proto))] = call
        self._calls.append((call, inputs, outputs))

    def finish(self) -> OnnxModule:
        """Number the tensors and say after which step each is needed no more."""
        read_or_written = [
            self._input,
            *(name for _, inputs, outputs in self._calls for name in (*inputs, *outputs)),
            *self._outputs,
        ]
        names = list(dict.fromkeys(read_or_written))
        slots = {name: slot for slot, name in enumerate(names)}
        kept = {slots[name] for name in self._outputs}
        constants = {slots[n]: value for n, value in self._constants.items() if n in slots}
        last_use = {slots[n]: i for i, (_, inputs, _) in enumerate(self._calls) for n in inputs}
        steps = []
        for index, (call, inputs, outputs) in enumerate(self._calls):
            read = tuple(slots[name] for name in inputs)
            written = tuple(slots[name] for name in outputs)
            done = {slot for slot in read if last_use[slot] == index} - kept - constants.keys()
            steps.append(_Step(call, read, written, tuple(sorted(done))))
        module = OnnxModule(steps, names, [slots[name] for name in self._outputs], constants)
        for path, child in self._modules.items():
            _add_submodule(module, path, child)
        return module

    def _may_overwrite(self, proto: onnx.NodeProto) -> bool:
        if not self._inplace or proto.op_type != "Relu":
            return False
        source = proto.input[0]
        return self._uses[source] == 1 and self._producers.get(source) in _FRESH

    def _free_path(self, path: str) -> str:
        """Return ``path``, numbered when a module already has it (a ReLU used twice)."""
        candidate, number = path, 1
        while candidate in self._modules:
            number += 1
            candidate = f"{path}_{number}"
        return candidate


def _path_of(proto: onnx.NodeProto) -> str:
    if path := torch_module(proto):
        return path
    # A foreign node's own name may have dots and slashes that are not a path.
    return re.sub(r"\W+", "_", module_of(proto)).strip("_") or proto.op_type


def _add_submodule(root: nn.Module, path: str, child: nn.Module) -> None:
    """Set ``root.a.b.c = child``, making plain containers on the way.

    A name that nn.Module uses itself (``forward``, ``type``) gets an underscore.
    """
    *parents, leaf = path.split(".")
    holder = root
    for part in parents:
        safe = _safe(holder, part)
        if safe not in holder._modules:
            holder.add_module(safe, nn.Module())
        holder = holder.get_submodule(safe)
    safe = _safe(holder, leaf)
    previous = holder._modules.get(safe)
    holder.add_module(safe, child)
    for name, grandchild in () if previous is None else previous.named_children():
        child.add_module(name, grandchild)


def _safe(holder: nn.Module, name: str) -> str:
    taken = hasattr(holder, name) and name not in holder._modules
    return f"{name}_" if taken or not name else name


def _as_tuple(result: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return result if isinstance(result, tuple) else (result,)


def _tensor(tensor: onnx.TensorProto) -> Tensor:
    array = numpy_helper.to_array(tensor)
    if array.dtype in (np.float16, np.float64):
        array = array.astype(np.float32)
    # A copy: the array may be a read-only view of the protobuf.
    return torch.from_numpy(array.copy())


def _attribute(attribute: onnx.AttributeProto) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return _tensor(value)
    if isinstance(value, bytes):
        return value.decode()
    return value
