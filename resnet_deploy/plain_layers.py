"""A network of plain layers as an ONNX graph, one operator for each: no exporter has to be asked.

``torch.onnx.export`` reads any module, and takes seconds to prepare for any: symbolic shapes,
decompositions, a table of all of PyTorch's operators. The networks of the paper are made of layers
that ONNX has as well, with the same numbers. They are written here as they stand; a module with
anything else in it, be it a hook, is the exporter's. Both give the same graph
(``tests/test_plain_layers.py``), and what either gave is compared with PyTorch by its answers.

Source: the operators of ONNX, opset 18, and the layers of ``torch.nn`` in evaluation.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import onnx_ir as ir
import torch
import torch.nn.functional as F
from onnx_ir.passes.common import ShapeInferencePass
from torch import fx, nn

from resnet_deploy.arrays import Array
from resnet_deploy.graph.module_names import MODULE_KEY
from resnet_deploy.models.tracing import ONE_AT_A_TIME

OPSET: Final = 18
_IR_VERSION: Final = 10
_OWN: Final = "resnet_deploy.models."
_LAST: Final = np.iinfo(np.int64).max
_IMAGE_RANK: Final = 4


class _OtherError(Exception):
    """There is something that is not a plain layer."""


def plain_graph(
    module: nn.Module, names: tuple[str, ...], *, image_size: int, in_channels: int
) -> ir.Model | None:
    """Return ``module`` as a graph from ``input`` to ``names``; None where it has other layers.

    Args:
        module: in eval mode; takes ``(N, in_channels, image_size, image_size)`` float32.
        names: of the tensors that it returns, in order.
        image_size: height and width of the input in pixels.
        in_channels: of the input.
    """
    if not all(map(_is_plain, module.modules())):
        return None
    try:
        with ONE_AT_A_TIME:
            traced = fx.Tracer().trace(module)
        return _Writer(module, in_channels, image_size).written(traced, names)
    except (_OtherError, fx.proxy.TraceError):
        return None


def _is_plain(child: nn.Module) -> bool:
    """Return whether nothing but the code of its class says what ``child`` computes."""
    kind = type(child)
    return (
        (kind in _LAYERS or kind is nn.Sequential or kind.__module__.startswith(_OWN))
        and not child.training
        and "forward" not in vars(child)
        and not child._forward_hooks
        and not child._forward_pre_hooks
        and all(
            tensor.dtype is torch.float32
            for tensor in (*child.parameters(recurse=False), *child.buffers(recurse=False))
            if tensor.is_floating_point()
        )
    )


class _Writer:
    """Writes the nodes of a trace, each behind those it reads."""

    def __init__(self, module: nn.Module, in_channels: int, image_size: int) -> None:
        self.module = module
        self.image = ir.Value(
            name="input",
            shape=ir.Shape(("batch", in_channels, image_size, image_size)),
            type=ir.TensorType(ir.DataType.FLOAT),
        )
        self.nodes: list[ir.Node] = []
        self.weights: dict[str, ir.Value] = {}
        self._values: dict[fx.Node, ir.Value] = {}
        self._path = ""

    def written(self, traced: fx.Graph, names: tuple[str, ...]) -> ir.Model:
        """Return the graph of what was ``traced``.

        Raises:
            _OtherError: there is something that is not a plain layer.
        """
        outputs: list[ir.Value] = []
        for node in traced.nodes:
            if node.op == "placeholder" and self.image not in self._values.values():
                self._values[node] = self.image
            elif node.op == "output":
                given = node.args[0]
                outputs = [self.value(one) for one in (given if type(given) is tuple else (given,))]
            else:
                self._values[node] = self._operator(node)
        if len(set(outputs)) != len(names) or self.image in outputs:
            raise _OtherError
        for value, name in zip(outputs, names, strict=True):
            value.name = name
        graph = ir.Graph(
            (self.image,),
            outputs,
            nodes=self.nodes,
            initializers=tuple(self.weights.values()),
            opset_imports={"": OPSET},
            name="main_graph",
        )
        model = ir.Model(graph, ir_version=_IR_VERSION)
        ShapeInferencePass(strict_mode=True)(model)
        # It puts large weights behind small ones; the file has them as the layers come.
        for name in self.weights:
            graph.initializers.add(graph.initializers.pop(name))
        return model

    def value(self, node: object) -> ir.Value:
        """Return the tensor that ``node`` of the trace stands for."""
        if not isinstance(node, fx.Node) or node not in self._values:
            raise _OtherError
        return self._values[node]

    def add(self, kind: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        """Append an operator; return what it gives."""
        node = ir.node(kind, inputs, attributes, name=f"{self._path}.{kind}.{len(self.nodes)}")
        node.metadata_props[MODULE_KEY] = self._path
        (given,) = node.outputs
        given.name, given.type = node.name, ir.TensorType(ir.DataType.FLOAT)
        self.nodes.append(node)
        return given

    def weight(self, leaf: str, tensor: torch.Tensor | None) -> ir.Value | None:
        """Return the weight ``leaf`` of the layer that is written; None for none."""
        if tensor is None:
            return None
        return self.constant(leaf, tensor.detach().contiguous().numpy())

    def constant(self, leaf: str, array: Array) -> ir.Value:
        """Return a constant of the layer that is written."""
        name = f"{self._path}.{leaf}" if self._path else leaf
        if name not in self.weights:
            tensor = ir.tensor(array, name=name)
            value = ir.Value(
                name=name,
                shape=ir.Shape(array.shape),
                type=ir.TensorType(tensor.dtype),
                const_value=tensor,
            )
            self.weights[name] = value
        return self.weights[name]

    def _operator(self, node: fx.Node) -> ir.Value:
        if node.op == "call_module":
            self._path = str(node.target)
            layer = self.module.get_submodule(self._path)
            if node.kwargs or len(node.args) != 1:
                raise _OtherError
            _check_in_place(node, getattr(layer, "inplace", False))
            return _LAYERS[type(layer)](self, layer, self.value(node.args[0]))
        # What a module calls itself bears its name; the innermost one is the last.
        around = list(node.meta.get("nn_module_stack") or {"": None})
        self._path = around[-1]
        write = _FUNCTIONS.get(node.target) if node.op == "call_function" else None
        if write is None:
            raise _OtherError
        return write(self, node)


def _check_in_place(node: fx.Node, in_place: object) -> None:
    """Refuse an operator that writes over what another one still reads."""
    if in_place and any(len(read.users) > 1 for read in node.all_input_nodes):
        raise _OtherError


def _pair(numbers: Any) -> tuple[int, int]:
    """Return the numbers for height and width; one of ``torch.nn`` stands for both."""
    pair = (numbers, numbers) if isinstance(numbers, int) else numbers
    if type(pair) is not tuple or len(pair) != 2:
        raise _OtherError
    return pair


def _convolution(graph: _Writer, layer: nn.Conv2d, x: ir.Value) -> ir.Value:
    if layer.padding_mode != "zeros":
        raise _OtherError
    return graph.add(
        "Conv",
        x,
        graph.weight("weight", layer.weight),
        *((graph.weight("bias", layer.bias),) if layer.bias is not None else ()),
        group=layer.groups,
        pads=_pair(layer.padding) * 2,
        auto_pad="NOTSET",
        strides=_pair(layer.stride),
        dilations=_pair(layer.dilation),
        kernel_shape=_pair(layer.kernel_size),
    )


def _norm(graph: _Writer, layer: nn.BatchNorm2d, x: ir.Value) -> ir.Value:
    tensors = {
        leaf: graph.weight(leaf, getattr(layer, leaf))
        for leaf in ("weight", "bias", "running_mean", "running_var")
    }
    if None in tensors.values():
        raise _OtherError
    return graph.add("BatchNormalization", x, *tensors.values(), epsilon=layer.eps)


def _max_pool(graph: _Writer, layer: nn.MaxPool2d, x: ir.Value) -> ir.Value:
    if layer.return_indices or layer.ceil_mode:
        raise _OtherError
    return graph.add(
        "MaxPool",
        x,
        storage_order=0,
        dilations=_pair(layer.dilation),
        ceil_mode=0,
        pads=_pair(layer.padding) * 2,
        auto_pad="NOTSET",
        strides=_pair(layer.stride),
        kernel_shape=_pair(layer.kernel_size),
    )


def _global_pool(graph: _Writer, layer: nn.AdaptiveAvgPool2d, x: ir.Value) -> ir.Value:
    if layer.output_size not in (1, (1, 1)):
        raise _OtherError
    return graph.add("GlobalAveragePool", x)


def _linear(graph: _Writer, layer: nn.Linear, x: ir.Value) -> ir.Value:
    weight, bias = graph.weight("weight", layer.weight), graph.weight("bias", layer.bias)
    if bias is None:
        raise _OtherError
    return graph.add("Gemm", x, weight, bias, beta=1.0, transB=1, alpha=1.0, transA=0)


def _relu(graph: _Writer, _: nn.ReLU, x: ir.Value) -> ir.Value:
    return graph.add("Relu", x)


def _same(_: _Writer, __: nn.Module, x: ir.Value) -> ir.Value:
    return x


def _sum(graph: _Writer, node: fx.Node) -> ir.Value:
    if node.kwargs or len(node.args) != 2:
        raise _OtherError
    return graph.add("Add", *map(graph.value, node.args))


def _relu_function(graph: _Writer, node: fx.Node) -> ir.Value:
    _check_in_place(node, node.kwargs.get("inplace"))
    return graph.add("Relu", graph.value(node.args[0]))


def _flatten(graph: _Writer, node: fx.Node) -> ir.Value:
    if node.kwargs or node.args[1:] != (1,):
        raise _OtherError
    return graph.add("Flatten", graph.value(node.args[0]), axis=1)


def _strided(graph: _Writer, node: fx.Node) -> ir.Value:
    """``x[:, :, ::2, ::2]`` takes every second row, then every second column."""
    value, index = graph.value(node.args[0]), node.args[1]
    if type(index) is not tuple:
        raise _OtherError
    first, last = (graph.constant(leaf, np.array([at])) for leaf, at in (("0", 0), ("end", _LAST)))
    for axis, part in enumerate(index):
        if part == slice(None):
            continue
        if not isinstance(part, slice) or part != slice(None, None, part.step) or part.step < 1:
            raise _OtherError
        numbers = (graph.constant(str(one), np.array([one])) for one in (axis, part.step))
        value = graph.add("Slice", value, first, last, *numbers)
    return value


def _zeros_around(graph: _Writer, node: fx.Node) -> ir.Value:
    """``F.pad`` names the last axis first, and the two sides of each together."""
    x, pads = node.args if len(node.args) == 2 else (None, None)
    if node.kwargs not in ({}, {"mode": "constant", "value": None}) or type(pads) is not tuple:
        raise _OtherError
    sides = np.array(pads + (0,) * (2 * _IMAGE_RANK - len(pads)), np.int64).reshape(-1, 2)[::-1]
    array = graph.constant("pads", sides.T.ravel())
    return graph.add("Pad", graph.value(x), array, mode="constant")


_LAYERS: Final[Mapping[type[nn.Module], Callable[[_Writer, Any, ir.Value], ir.Value]]] = {
    nn.Conv2d: _convolution,
    nn.BatchNorm2d: _norm,
    nn.MaxPool2d: _max_pool,
    nn.AdaptiveAvgPool2d: _global_pool,
    nn.Linear: _linear,
    nn.ReLU: _relu,
    nn.Identity: _same,
    nn.Dropout: _same,
}
"""How each layer is written; a subclass may compute something else."""

_FUNCTIONS: Final[Mapping[object, Callable[[_Writer, fx.Node], ir.Value]]] = {
    operator.add: _sum,
    operator.getitem: _strided,
    torch.relu: _relu_function,
    F.relu: _relu_function,
    torch.flatten: _flatten,
    F.pad: _zeros_around,
}
"""How each function is written that the modules of this package call themselves."""
