"""ONNX graph passes, one per file, and the order in which they run.

A pass takes an ``onnx_ir.Model``, rewrites it in place and returns a :class:`PassResult`: how many
rewrites it made, and which candidates it refused and why. It never changes what the graph computes;
its docstring gives the algebra and when it refuses. What does change it is in
:mod:`resnet_deploy.rewrites`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx_ir as ir

from resnet_deploy.passes.affine_into_layer import affine_into_layer
from resnet_deploy.passes.average_pool import average_pool
from resnet_deploy.passes.channel_shuffle import channel_shuffle
from resnet_deploy.passes.channels_first import channels_first
from resnet_deploy.passes.clean import clean
from resnet_deploy.passes.explicit_pads import explicit_pads
from resnet_deploy.passes.flatten import reshape_to_flatten
from resnet_deploy.passes.flush_denormals import flush_denormals
from resnet_deploy.passes.fold_batchnorm import fold_batchnorm
from resnet_deploy.passes.global_average_pool import mean_to_global_average_pool
from resnet_deploy.passes.hard_gates import hard_gates
from resnet_deploy.passes.identity_pool import remove_identity_pool
from resnet_deploy.passes.lone_batchnorm import lone_batchnorm
from resnet_deploy.passes.matmul_to_conv import matmul_to_conv
from resnet_deploy.passes.matmul_to_gemm import matmul_to_gemm
from resnet_deploy.passes.min_max_to_clip import min_max_to_clip
from resnet_deploy.passes.name_by_module import name_by_module
from resnet_deploy.passes.needless_expand import needless_expand
from resnet_deploy.passes.one_pixel import one_pixel
from resnet_deploy.passes.pad_into_window import pad_into_window
from resnet_deploy.passes.pool_channels_last import pool_channels_last
from resnet_deploy.passes.prelu_to_sum import lone_relu, prelu_to_sum
from resnet_deploy.passes.private_bias import private_bias
from resnet_deploy.passes.reflect_pad import reflect_pad
from resnet_deploy.passes.result import PassResult, Refusal
from resnet_deploy.passes.split_to_slices import split_to_slices
from resnet_deploy.passes.zero_pad_shortcut import zero_pad_shortcut

__all__ = [
    "DEFAULT_PASSES",
    "INT8_PASSES",
    "Pass",
    "PassResult",
    "Refusal",
    "counts_text",
    "run_passes",
]

Pass = Callable[[ir.Model], PassResult]

DEFAULT_PASSES: tuple[Pass, ...] = (
    clean,
    channels_first,
    clean,
    explicit_pads,
    pad_into_window,
    fold_batchnorm,
    affine_into_layer,
    min_max_to_clip,
    mean_to_global_average_pool,
    remove_identity_pool,
    reshape_to_flatten,
    matmul_to_gemm,
    affine_into_layer,
    lone_batchnorm,
    needless_expand,
    private_bias,
    flush_denormals,
    clean,
    name_by_module,
)
"""What every file goes through, in this order."""

INT8_PASSES: tuple[Pass, ...] = (
    average_pool,
    matmul_to_conv,
    affine_into_layer,
    channel_shuffle,
    split_to_slices,
    one_pixel,
    hard_gates,
    prelu_to_sum,
    lone_relu,
    reflect_pad,
    zero_pad_shortcut,
    pool_channels_last,
)
"""What an int8 file goes through as well: operators without an int8 kernel, made of others."""


def run_passes(model: ir.Model, passes: tuple[Pass, ...] = DEFAULT_PASSES) -> dict[str, PassResult]:
    """Run ``passes`` on ``model`` in place; return their results by name, in order of first run.

    The results of a pass that runs twice are added.
    """
    results: dict[str, PassResult] = {}
    for graph_pass in passes:
        name = graph_pass.__name__
        results[name] = results.get(name, PassResult()) + graph_pass(model)
    return results


def counts_text(results: Mapping[str, PassResult]) -> str:
    """Return ``clean 3, fold_batchnorm 20``: what made rewrites, for a line of the log."""
    return ", ".join(f"{name} {result.count}" for name, result in results.items() if result.count)
