"""Constant nodes become initializers; Identity and unused nodes go."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from resnet_deploy.passes.result import PassResult


def clean(model: ir.Model) -> PassResult:
    """Count the nodes that went; it refuses nothing."""
    nodes = model.graph.num_nodes()
    for step in (
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.IdentityEliminationPass(),
        common.RemoveUnusedNodesPass(),
        common.TopologicalSortPass(),
    ):
        step(model)
    return PassResult(nodes - model.graph.num_nodes())
