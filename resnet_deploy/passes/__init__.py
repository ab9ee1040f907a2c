"""ONNX graph passes, one per file, and the order in which they run.

A pass takes an ``onnx_ir.Model``, rewrites it in place and returns how many rewrites it made.
It never changes what the graph computes; its docstring gives the algebra and when it refuses.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir
from onnx_ir.passes import common

from resnet_deploy.graph.module_names import name_by_module
from resnet_deploy.passes.flatten import reshape_to_flatten
from resnet_deploy.passes.flush_denormals import flush_denormals
from resnet_deploy.passes.fold_batchnorm import fold_batchnorm
from resnet_deploy.passes.global_average_pool import mean_to_global_average_pool
from resnet_deploy.passes.identity_pool import remove_identity_pool
from resnet_deploy.passes.matmul_to_gemm import matmul_to_gemm
from resnet_deploy.passes.private_bias import private_bias

Pass = Callable[[ir.Model], int]


def clean(model: ir.Model) -> int:
    """Turn Constant nodes into initializers, drop Identity nodes and what nobody uses."""
    nodes = model.graph.num_nodes()
    for step in (
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.IdentityEliminationPass(),
        common.RemoveUnusedNodesPass(),
        common.TopologicalSortPass(),
    ):
        step(model)
    return nodes - model.graph.num_nodes()


DEFAULT_PASSES: tuple[Pass, ...] = (
    clean,
    fold_batchnorm,
    mean_to_global_average_pool,
    remove_identity_pool,
    reshape_to_flatten,
    matmul_to_gemm,
    private_bias,
    flush_denormals,
    clean,
    name_by_module,
)
"""What every file goes through, in this order."""


def run_passes(model: ir.Model, passes: tuple[Pass, ...] = DEFAULT_PASSES) -> dict[str, int]:
    """Run ``passes`` on ``model`` in place; return the number of rewrites of each."""
    counts: dict[str, int] = {}
    for one in passes:
        counts[one.__name__] = counts.get(one.__name__, 0) + one(model)
    return counts
