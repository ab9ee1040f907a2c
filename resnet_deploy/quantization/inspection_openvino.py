"""What OpenVINO makes of an int8 file: whether every layer with weights multiplies in int8.

OpenVINO, like ONNX Runtime, decides that when it compiles the file, and says nothing. Its compiled
graph names the kernel of each node. Sums and what else is between the layers is float by choice: in
files for OpenVINO its int8 convolutions write float, and one kernel adds, rectifies and quantizes.
"""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path

import onnx

from resnet_deploy.graph.module_names import module_of
from resnet_deploy.results import FloatOp, Inspection
from resnet_deploy.runners.openvino_graph import CompiledNode, compiled_nodes

_WEIGHTED = frozenset({"Convolution", "GroupConvolution", "Deconvolution", "FullyConnected"})
_MULTIPLIES = _WEIGHTED | {"MatMul"}


def inspect_openvino(path: Path, exclude: tuple[str, ...] = ()) -> Inspection:
    """Return what OpenVINO runs for the int8 file at ``path``.

    Reported are layers with weights that multiply in float. ``exclude`` are the globs of those that
    were asked to stay float; theirs are marked as requested.

    Raises:
        MissingDependencyError: openvino is not installed.
        RunnerError: OpenVINO refuses the file.
    """
    modules = {node.name: module_of(node) for node in onnx.load(str(path)).graph.node}
    nodes = compiled_nodes(path, threads=1)
    kinds = Counter(f"int8 {node.operator}" if node.is_int8 else node.operator for node in nodes)
    found = []
    for node in nodes:
        if node.operator not in _MULTIPLIES or node.is_int8:
            continue
        layer = _layer(node, modules)
        found.append(
            FloatOp(
                layer=layer,
                op_type=node.operator,
                reason=f"OpenVINO chose the kernel {node.kernel} for {node.precisions}",
                requested=any(fnmatchcase(layer, glob) for glob in exclude),
            )
        )
    return Inspection(
        model=str(path),
        op_counts=dict(kinds.most_common()),
        float_ops=tuple(found),
        runtime="OpenVINO",
    )


def _layer(node: CompiledNode, modules: dict[str, str]) -> str:
    """Return the torch module of ``node``; OpenVINO's own name where the file has none."""
    names = [name for name in node.layers.split(",") if name in modules]
    return modules[names[0]] if names else node.layers.partition(",")[0]
