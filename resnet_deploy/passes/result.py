"""What a pass gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from resnet_deploy.graph.layers import FLOAT_KEY


@dataclass(frozen=True)
class Refusal:
    """A candidate that a pass looked at and left as it was.

    ``node`` is its name, or that of its first output; ``reason`` completes "it is left because".
    """

    node: str
    reason: str

    @classmethod
    def of(cls, node: ir.Node, reason: str) -> Refusal:
        """Refuse ``node``."""
        return cls(node.name or str(node.outputs[0].name), reason)


@dataclass(frozen=True)
class PassResult:
    """How many rewrites a pass made, and which candidates it refused and why."""

    count: int = 0
    refusals: tuple[Refusal, ...] = ()

    def __add__(self, other: PassResult) -> PassResult:
        """Return the result of two runs together."""
        return PassResult(self.count + other.count, self.refusals + other.refusals)


def rewrite_each(
    model: ir.Model,
    op_types: tuple[str, ...],
    rewrite: Callable[[ir.Graph, ir.Node], str | None],
    *,
    candidate: Callable[[ir.Node], bool] = lambda _: True,
) -> PassResult:
    """Call ``rewrite`` with every node of ``op_types`` that is a ``candidate``, in order.

    It returns None where it rewrote the node, else why it did not. What was chosen to stay float
    is not a candidate.
    """
    count, refusals = 0, []
    for node in list(model.graph):
        if node.op_type not in op_types or FLOAT_KEY in node.metadata_props:
            continue
        if not candidate(node):
            continue
        if (reason := rewrite(model.graph, node)) is None:
            count += 1
        else:
            refusals.append(Refusal.of(node, reason))
    return PassResult(count, tuple(refusals))
