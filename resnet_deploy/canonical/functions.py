"""Functions that a model defines itself  =>  their nodes, where they are called.

PyTorch's exporter of release 2.1 to 2.5 and onnxscript write whole modules and single operators as
functions (``ModelProto.functions``, IR 8 and later). Everything here reads nodes alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
from onnx import inliner

from resnet_deploy.canonical.order import every_node, set_nodes
from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.graph.releases import opset_of

_MOST_NODES = 100_000
"""Nodes after inlining: functions that call functions grow exponentially."""

_Key = tuple[str, str]


def inline_functions(model: onnx.ModelProto) -> int:
    """Put the bodies of the functions of ``model`` where they are called; return their number.

    Raises:
        UnsupportedGraphError: a function calls itself, or there would be too many nodes.
    """
    if not model.functions:
        return 0
    _check_size(model)
    graph = model.graph
    # Without weights, whose bytes would be copied twice; their names must not be taken.
    bare = onnx.ModelProto(ir_version=model.ir_version)
    bare.opset_import.extend(model.opset_import)
    bare.functions.extend(model.functions)
    bare.graph.name = graph.name or "graph"
    bare.graph.node.extend(graph.node)
    bare.graph.output.extend(graph.output)
    bare.graph.input.extend(graph.input)
    listed = {value.name for value in graph.input}
    bare.graph.input.extend(
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in graph.initializer
        if tensor.name not in listed
    )
    opset = opset_of(model)
    for function in bare.functions:
        _take_opset(function, opset)
    try:
        inlined = inliner.inline_local_functions(bare, convert_version=True)
    except (RuntimeError, ValueError) as error:
        names = ", ".join(sorted({function.name for function in model.functions})[:3])
        raise UnsupportedGraphError(
            f"its own functions ({names}) can't be put where they are called: export it without "
            "functions, for example with a newer exporter"
        ) from error
    called = len(model.functions)
    set_nodes(graph, inlined.graph.node)
    for field in ("opset_import", "functions"):
        del getattr(model, field)[:]
        getattr(model, field).extend(getattr(inlined, field))
    return called


def _take_opset(function: onnx.FunctionProto, opset: int) -> None:
    """Let ``function`` be of ``opset`` where each of its operators is the same in its own."""
    for entry in function.opset_import:
        if entry.domain in ("", "ai.onnx") and all(
            _since(name, entry.version) == _since(name, opset)
            for domain, name in _operators(function.node)
            if domain in ("", "ai.onnx")
        ):
            entry.version = opset


def _since(name: str, opset: int) -> int:
    """Return the opset that defined the operator that ``opset`` knows by ``name``; 0 for none."""
    try:
        return int(onnx.defs.get_schema(name, opset).since_version)
    except onnx.defs.SchemaError:
        return 0


def _operators(nodes: Iterable[onnx.NodeProto]) -> Iterator[_Key]:
    """Yield domain and name of each of ``nodes``, those of subgraphs too."""
    yield from ((node.domain, node.op_type) for node in every_node(nodes))


def _check_size(model: onnx.ModelProto) -> None:
    """Count the nodes there would be, each function's once."""
    bodies = {(function.domain, function.name): function for function in model.functions}
    sizes: dict[_Key, int] = {}
    open_: set[_Key] = set()

    def size_of(nodes: Iterable[onnx.NodeProto]) -> int:
        return sum(size(key) if key in bodies else 1 for key in _operators(nodes))

    def size(key: _Key) -> int:
        if key in open_:
            raise UnsupportedGraphError(f"its function {key[1]!r} calls itself")
        if key not in sizes:
            open_.add(key)
            sizes[key] = size_of(bodies[key].node)
            open_.remove(key)
        return sizes[key]

    nodes = size_of(model.graph.node)
    if nodes > _MOST_NODES:
        raise UnsupportedGraphError(
            f"its own functions stand for {nodes} nodes, where {_MOST_NODES} are the most"
        )
