"""Writes factors of channels into the weights of a graph."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from resnet_deploy.arrays import Array
from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.graph.channel_factors import factors, mark_factors
from resnet_deploy.graph.constants import constant, optional_input, set_parameters
from resnet_deploy.graph.layers import LAYERS, LAYOUT_KEY, result_of
from resnet_deploy.quantization.scale_groups import (
    ScaleGroups,
    with_inputs_times,
    with_outputs_times,
)
from resnet_deploy.quantization.weights import weight_of

Exponents = NDArray[np.int64]
"""Of the factors of channels, in the steps of :mod:`resnet_deploy.graph.channel_factors`."""


def rescale(model: ir.Model, groups: ScaleGroups, exponents: Exponents) -> dict[str, Exponents]:
    """Multiply every channel by the factor of its group, ``(G,)``, in place; mark what has some.

    In fp32 the graph computes the same. Returns the exponents ``(C,)`` of all tensors that have
    factors other than 1, by name.
    """
    for node in groups.layers:
        read, written = groups.inputs(node), groups.of[node.outputs[0]]
        weight = weight_of(node).astype(np.float64)
        bias = _bias(node, len(written))
        changed = False
        if exponents[written].any():
            scale = factors(exponents[written])
            weight, bias, changed = with_outputs_times(node, weight, scale), bias * scale, True
        if read is not None and exponents[read].any():
            weight, changed = with_inputs_times(node, weight, factors(-exponents[read])), True
        if changed:
            set_parameters(model.graph, node, str(node.name), weight, bias)
    for node in model.graph:
        if node.op_type in LAYERS and LAYOUT_KEY not in node.metadata_props:
            of = groups.of.get(result_of(node))
            if of is not None:
                mark_factors(node, exponents[of])
    return {
        str(value.name): exponents[of] for value, of in groups.of.items() if exponents[of].any()
    }


def exponents_of(groups: ScaleGroups, known: Mapping[str, Exponents]) -> Exponents:
    """Return the exponents of ``groups``, ``(G,)``, in which tensors have those that are ``known``.

    Raises:
        UnsupportedGraphError: they belong to other groups, or to one that can't have any.
    """
    found = np.zeros(len(groups.free), np.int64)
    for value, of in groups.of.items():
        given = known.get(str(value.name))
        if given is not None and len(given) == len(of):
            found[of] = given
    for value, of in groups.of.items():
        given = known.get(str(value.name))
        same = given is None or len(given) != len(of) or np.array_equal(found[of], given)
        if not same or found[of][~groups.free[of]].any():
            raise UnsupportedGraphError(
                f"{value.name} is another one when a part of the net stays in float"
            )
    return found


def _bias(node: ir.Node, channels: int) -> Array:
    """Return the bias of a layer, of zeros where it has none: a foreign one may lack it."""
    bias = constant(optional_input(node, 2))
    return np.zeros(channels) if bias is None else bias.astype(np.float64)
