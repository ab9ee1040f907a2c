"""A network of plain layers as an ONNX graph, one operator for each: no exporter has to be asked.

``torch.onnx.export`` reads any module, and takes seconds to prepare for any: symbolic shapes,
decompositions, a table of all of PyTorch's operators. The networks of the paper are made of layers
that ONNX has as well, with the same numbers. They are written here as they stand; a module with
anything else in it, be it a hook, is the exporter's, and so is one that PyTorch can't run. Both
give the same graph (``tests/test_plain_layers.py``), and what either gave is compared with PyTorch
by its answers.

Source: the operators of ONNX, opset 18, and the layers of ``torch.nn`` in evaluation.

It is longer than a file here should be: one layer beside the other, each read alone.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnx_ir as ir
import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.modules import module as every_module

from resnet_deploy.arrays import Array
from resnet_deploy.graph.module_names import MODULE_KEY
from resnet_deploy.models.tracing import ONE_AT_A_TIME

OPSET: Final = 18
_IR_VERSION: Final = 10
_OWN: Final = "resnet_deploy.models."
_LAST: Final = np.iinfo(np.int64).max


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
    try:
        if _has_hooks(every_module, "_global") or not all(map(_is_plain, module.modules())):
            return None
        with ONE_AT_A_TIME:  # weights that are read during another trace become part of it
            traced = _Tracer().trace(module)
            return _Writer(module, in_channels, image_size).written(traced, names)
    except Exception:  # tracing runs the module's own code on stand-ins, and layers hold anything
        return None


def _is_plain(child: nn.Module) -> bool:
    """Return whether nothing but the code of its class says what ``child`` computes."""
    kind = type(child)
    return (
        (kind in _LAYERS or kind is nn.Sequential or kind.__module__.startswith(_OWN))
        and _has_own_code(kind)
        and not child.training
        # Any method may have another one in its place, such as ``_conv_forward`` for round borders.
        and not any(map(callable, vars(child).values()))
        and not _has_hooks(child)
    )


def _has_own_code(kind: type[nn.Module]) -> bool:
    """Return whether ``kind`` computes with the functions that were defined with it."""
    homes = {base.__module__ for base in kind.__mro__}
    functions = (getattr(kind, name, None) for name in ("forward", "_conv_forward"))
    return all(
        getattr(function, "__globals__", {}).get("__name__") in homes
        for function in functions
        if function is not None
    )


def _has_hooks(owner: object, prefix: str = "") -> bool:
    """Return whether ``owner`` has functions that may change what goes in or comes out."""
    return any(
        getattr(owner, f"{prefix}{name}") for name in ("_forward_hooks", "_forward_pre_hooks")
    )


class _Tracer(fx.Tracer):
    """Refuses tensors that are not computed: fx would make them attributes of the module."""

    def create_arg(self, a: Any) -> Any:
        """Return what stands for ``a`` in the graph."""
        if isinstance(a, torch.Tensor):
            raise _OtherError
        return super().create_arg(a)


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
        self._memory: dict[ir.Value, list[ir.Value]] = {}
        self._overwritten: set[ir.Value] = set()
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
        if not len(set(outputs)) == len(outputs) == len(names) or self.image in outputs:
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
        return ir.Model(graph, ir_version=_IR_VERSION)

    def value(self, node: object) -> ir.Value:
        """Return the tensor that ``node`` of the trace stands for."""
        value = self._values.get(node) if isinstance(node, fx.Node) else None
        if value is None or value in self._overwritten:
            raise _OtherError
        return value

    def share(self, x: ir.Value, given: ir.Value, *, overwrites: bool = False) -> ir.Value:
        """Return ``given``, which lies in the memory of ``x`` and may overwrite it."""
        tensors = self._memory.setdefault(x, [x])
        if overwrites:
            self._overwritten.update(tensors)
        tensors.append(given)
        self._memory[given] = tensors
        return given

    def add(
        self, kind: str, sizes: Sequence[int], *inputs: ir.Value, **attributes: Any
    ) -> ir.Value:
        """Append an operator; return what it gives, of these ``sizes`` for each picture."""
        if min(sizes) < 1:
            raise _OtherError
        node = ir.node(kind, inputs, attributes, name=f"{self._path}.{kind}.{len(self.nodes)}")
        node.metadata_props[MODULE_KEY] = self._path
        (given,) = node.outputs
        given.name, given.type = node.name, ir.TensorType(ir.DataType.FLOAT)
        given.shape = ir.Shape(("batch", *sizes))
        self.nodes.append(node)
        return given

    def weight(self, leaf: str, tensor: torch.Tensor, *sizes: int) -> ir.Value:
        """Return the weight ``leaf`` of the layer that is written, which has to be of ``sizes``."""
        # A tensor of another class may be something else than its numbers.
        if type(tensor) not in (torch.Tensor, nn.Parameter) or tensor.dtype is not torch.float32:
            raise _OtherError
        if tensor.shape != sizes:
            raise _OtherError
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
            return value
        known = self.weights[name].const_value
        if known is None or not np.array_equal(known.numpy(), array, equal_nan=True):
            raise _OtherError
        return self.weights[name]

    def _operator(self, node: fx.Node) -> ir.Value:
        if node.op == "call_module":
            self._path = str(node.target)
            layer = self.module.get_submodule(self._path)
            if node.kwargs or len(node.args) != 1:
                raise _OtherError
            return _LAYERS[type(layer)](self, layer, self.value(node.args[0]))
        # What a module calls itself bears its name; the innermost one is the last.
        around = node.meta.get("nn_module_stack") or {}
        self._path = [path for path, _ in around.values()][-1] if around else ""
        write = _FUNCTIONS.get(node.target) if node.op == "call_function" else None
        if write is None:
            raise _OtherError
        return write(self, node)


def _sizes(x: ir.Value, count: int) -> tuple[int, ...]:
    """Return the sizes of ``x`` for each picture, ``count`` of them."""
    sizes = _all_sizes(x)
    if len(sizes) != count:
        raise _OtherError
    return sizes


def _all_sizes(x: ir.Value) -> tuple[int, ...]:
    assert x.shape is not None, "each tensor is written with its sizes"
    return tuple(size for size in x.shape[1:] if isinstance(size, int))


def _pair(numbers: Any, least: int = 1) -> tuple[int, int]:
    """Return the numbers for height and width; one of ``torch.nn`` stands for both."""
    pair = (numbers, numbers) if type(numbers) is int else numbers
    if type(pair) is not tuple or len(pair) != 2 or not _are_from(least, pair):
        raise _OtherError
    return pair


def _are_from(least: int, numbers: tuple[Any, ...]) -> bool:
    """Return whether all ``numbers`` are whole, and at least ``least``."""
    return all(type(number) is int and number >= least for number in numbers)


def _windows(
    sides: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
) -> list[int]:
    """Return how many windows fit into height and width; less than one where none does."""
    return [
        (side + 2 * pad - dilation * (width - 1) - 1) // stride + 1
        for side, width, stride, pad, dilation in zip(
            sides, kernel, strides, pads, dilations, strict=True
        )
    ]


def _convolution(graph: _Writer, layer: nn.Conv2d, x: ir.Value) -> ir.Value:
    channels, *sides = _sizes(x, 3)
    # The kernel is as large as the weights are, whatever the layer was made for.
    filters, _, *kernel = layer.weight.shape
    if layer.padding_mode != "zeros" or filters % layer.groups or channels % layer.groups:
        raise _OtherError
    strides, dilations = _pair(layer.stride), _pair(layer.dilation)
    pads = _pair(layer.padding, least=0)
    return graph.add(
        "Conv",
        (filters, *_windows(sides, kernel, strides, pads, dilations)),
        x,
        graph.weight("weight", layer.weight, filters, channels // layer.groups, *kernel),
        *((graph.weight("bias", layer.bias, filters),) if layer.bias is not None else ()),
        group=layer.groups,
        pads=pads * 2,
        auto_pad="NOTSET",
        strides=strides,
        dilations=dilations,
        kernel_shape=kernel,
    )


def _norm(graph: _Writer, layer: nn.BatchNorm2d, x: ir.Value) -> ir.Value:
    sizes = _sizes(x, 3)
    tensors = [
        graph.weight(leaf, getattr(layer, leaf), sizes[0])
        for leaf in ("weight", "bias", "running_mean", "running_var")
    ]
    return graph.add("BatchNormalization", sizes, x, *tensors, epsilon=float(layer.eps))


def _max_pool(graph: _Writer, layer: nn.MaxPool2d, x: ir.Value) -> ir.Value:
    channels, *sides = _sizes(x, 3)
    kernel, strides, dilations = map(_pair, (layer.kernel_size, layer.stride, layer.dilation))
    pads = _pair(layer.padding, least=0)
    too_wide = any(2 * pad > width for pad, width in zip(pads, kernel, strict=True))
    if layer.return_indices or layer.ceil_mode or too_wide:
        raise _OtherError
    return graph.add(
        "MaxPool",
        (channels, *_windows(sides, kernel, strides, pads, dilations)),
        x,
        storage_order=0,
        dilations=dilations,
        ceil_mode=0,
        pads=pads * 2,
        auto_pad="NOTSET",
        strides=strides,
        kernel_shape=kernel,
    )


def _global_pool(graph: _Writer, layer: nn.AdaptiveAvgPool2d, x: ir.Value) -> ir.Value:
    if _pair(layer.output_size) != (1, 1):
        raise _OtherError
    return graph.add("GlobalAveragePool", (_sizes(x, 3)[0], 1, 1), x)


def _linear(graph: _Writer, layer: nn.Linear, x: ir.Value) -> ir.Value:
    (values,), outputs = _sizes(x, 1), len(layer.weight)
    weight = graph.weight("weight", layer.weight, outputs, values)
    bias = graph.weight("bias", layer.bias, outputs)
    return graph.add("Gemm", (outputs,), x, weight, bias, beta=1.0, transB=1, alpha=1.0, transA=0)


def _relu(graph: _Writer, layer: nn.ReLU, x: ir.Value) -> ir.Value:
    return _cut(graph, x, layer.inplace)


def _cut(graph: _Writer, x: ir.Value, in_place: object) -> ir.Value:
    given = graph.add("Relu", _all_sizes(x), x)
    return graph.share(x, given, overwrites=True) if in_place else given


def _same(_: _Writer, __: nn.Module, x: ir.Value) -> ir.Value:
    return x


def _sum(graph: _Writer, node: fx.Node) -> ir.Value:
    first, second = map(graph.value, node.args)
    if _all_sizes(first) != _all_sizes(second):
        raise _OtherError
    return graph.add("Add", _all_sizes(first), first, second)


def _relu_function(graph: _Writer, node: fx.Node) -> ir.Value:
    return _cut(graph, graph.value(node.args[0]), node.kwargs.get("inplace"))


def _flatten(graph: _Writer, node: fx.Node) -> ir.Value:
    if node.kwargs or node.args[1:] != (1,):
        raise _OtherError
    x = graph.value(node.args[0])
    return graph.share(x, graph.add("Flatten", (math.prod(_all_sizes(x)),), x, axis=1))


def _strided(graph: _Writer, node: fx.Node) -> ir.Value:
    """``x[:, :, ::2, ::2]`` takes every second row, then every second column."""
    value, index = graph.value(node.args[0]), node.args[1]
    sizes = [0, *_all_sizes(value)]
    if type(index) is not tuple or len(index) > len(sizes):
        raise _OtherError
    for axis, part in enumerate(index):
        if not isinstance(part, slice) or part != slice(None, None, part.step):
            raise _OtherError
        if part.step in (None, 1):
            continue
        if axis == 0 or not _are_from(1, (part.step,)):
            raise _OtherError
        sizes[axis] = -(-sizes[axis] // part.step)
        numbers = (("0", 0), ("end", _LAST), (str(axis), axis), (str(part.step), part.step))
        constants = [graph.constant(leaf, np.array([number])) for leaf, number in numbers]
        value = graph.share(value, graph.add("Slice", sizes[1:], value, *constants))
    return value


def _zeros_around(graph: _Writer, node: fx.Node) -> ir.Value:
    """``F.pad`` names the last axis first, and the two sides of each together."""
    x, pads = node.args if len(node.args) == 2 else (None, None)
    if node.kwargs not in ({}, {"mode": "constant", "value": None}) or type(pads) is not tuple:
        raise _OtherError
    value = graph.value(x)
    sizes = _all_sizes(value)
    if len(pads) % 2 or len(pads) > 2 * len(sizes) or not _are_from(0, pads):
        raise _OtherError
    sides = np.array(pads + (0,) * (2 * len(sizes) + 2 - len(pads)), np.int64).reshape(-1, 2)[::-1]
    padded = [size + sum(added.tolist()) for size, added in zip(sizes, sides[1:], strict=True)]
    return graph.add("Pad", padded, value, graph.constant("pads", sides.T.ravel()), mode="constant")


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
