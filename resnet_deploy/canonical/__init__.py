"""What other tools write  =>  one spelling of the same computation.

Every file is read through :func:`canonical`, so that the rest of the package knows one way to write
a network: initializers are not inputs, the batch is a number or free, weights are plain
initializers in float32. A step works in place on a model that was read whole, is cheap where it
finds nothing, and computes the same values; what changes them is in :mod:`resnet_deploy.rewrites`,
what makes a graph better is in :mod:`resnet_deploy.passes`.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx

from resnet_deploy.canonical.answers import tensors_for_answers
from resnet_deploy.canonical.constants import fold_constants
from resnet_deploy.canonical.floats import widen_floats
from resnet_deploy.canonical.functions import inline_functions
from resnet_deploy.canonical.fused import unfuse
from resnet_deploy.canonical.inputs import unlist_initializers
from resnet_deploy.canonical.plain_sums import drop_no_ops, sums_to_adds
from resnet_deploy.canonical.raising import raise_opset
from resnet_deploy.canonical.shapes import fold_shapes
from resnet_deploy.canonical.sizes import free_sizes
from resnet_deploy.canonical.sparse import fill_sparse

Step = Callable[[onnx.ModelProto], int]
"""Rewrites a model in place and returns how often."""

STEPS: tuple[Step, ...] = (
    inline_functions,
    fill_sparse,
    unlist_initializers,
    unfuse,
    tensors_for_answers,
    free_sizes,
    drop_no_ops,
    sums_to_adds,
    raise_opset,
    widen_floats,
    fold_constants,
    fold_shapes,
)
"""In the order in which they run."""


def canonical(model: onnx.ModelProto) -> int:
    """Rewrite ``model`` in place in the spelling that this package reads; return how often."""
    return sum(step(model) for step in STEPS)
