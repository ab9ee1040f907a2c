"""The stages of a net, as the units in which a part of it can stay float.

Float and int8 meet in a Q or a DQ, and the fewest numbers are converted where one tensor alone
leads from one part of the graph to the other, and where that tensor is small: at the end of a
block. In the stages of a CNN the picture keeps its size. Whether int8 gains differs between them
more than within them: the first ones have large pictures of few channels, which cost memory
traffic, and the last ones have the multiplications.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir

from resnet_deploy.graph.module_names import module_of

MOST_STAGES = 5

_IMAGE_RANK = 4


@dataclass(frozen=True)
class Stage:
    """A part of a graph that one tensor alone leads out of.

    ``nodes`` are the names of its operators in graph order; ``first`` and ``last`` the layers that
    it begins and ends with.
    """

    nodes: tuple[str, ...]
    first: str
    last: str

    def __str__(self) -> str:
        """Return ``layer1.0 to layer1.2``: no more of the names than tells them apart."""
        first, last = self.first.split("."), self.last.split(".")
        same = len(os.path.commonprefix([first, last])) + 1
        names = ".".join(first[:same]), ".".join(last[:same])
        return names[0] if names[0] == names[1] else " to ".join(names)


@dataclass(frozen=True)
class _Cut:
    """Behind the operator at ``position``, one tensor of ``values`` numbers leads on."""

    position: int
    size: int
    values: int


def stages_of(model: ir.Model, *, most: int = MOST_STAGES) -> tuple[Stage, ...]:
    """Return the stages of an fp32 graph with sorted and named nodes, in order.

    Where pictures have more than ``most`` sizes, what has the smallest ones is one stage. There is
    one stage only where no tensor leads alone from one part to the next, or no size is known.
    """
    nodes = list(model.graph)
    smallest: dict[int, _Cut] = {}
    for cut in _cuts(model.graph, nodes):
        # The last one of the smallest: an expanded tensor inside of a block is larger.
        if cut.size not in smallest or cut.values <= smallest[cut.size].values:
            smallest[cut.size] = cut
    # A picture that grows again (a decoder) makes no stage of its own.
    ends = sorted(cut.position + 1 for size, cut in smallest.items() if size > 1)[: most - 1]
    if ends and not _weighted(nodes[ends[-1] :]):
        ends.pop()
    bounds = [0, *ends, len(nodes)]
    parts = [nodes[start:end] for start, end in zip(bounds, bounds[1:], strict=False)]
    return tuple(_stage(part) for part in parts if part)


def _stage(nodes: list[ir.Node]) -> Stage:
    return Stage(tuple(str(node.name) for node in nodes), module_of(nodes[0]), module_of(nodes[-1]))


def _weighted(nodes: Iterable[ir.Node]) -> bool:
    return any(node.op_type in ("Conv", "Gemm") for node in nodes)


def _cuts(graph: ir.Graph, nodes: list[ir.Node]) -> Iterable[_Cut]:
    """Yield every place where all that is computed so far leads on through one tensor."""
    place = {node: position for position, node in enumerate(nodes)}
    alive: set[ir.Value] = set(graph.inputs)
    for position, node in enumerate(nodes):
        alive.update(node.outputs)
        alive = {value for value in alive if _needed(value, position, place)}
        if alive != {node.outputs[0]}:
            continue
        shape = node.outputs[0].shape
        numbers = [size for size in shape.dims[1:] if isinstance(size, int)] if shape else []
        if shape is not None and len(shape) == _IMAGE_RANK == len(numbers) + 1:
            yield _Cut(position, max(numbers[1:]), math.prod(numbers))


def _needed(value: ir.Value, position: int, place: dict[ir.Node, int]) -> bool:
    return value.is_graph_output() or any(place[use.node] > position for use in value.uses())
