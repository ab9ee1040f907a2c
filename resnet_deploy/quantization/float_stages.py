"""Stages of a net that stay in float, beside the int8 parameters of the rest."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import onnx
import onnx_ir as ir

from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.quantization.plan import WEIGHTED
from resnet_deploy.quantization.prepare import cleaned, layers_by_name, planned, prepare
from resnet_deploy.quantization.rescale import exponents_of, rescale
from resnet_deploy.quantization.scale_groups import scale_groups
from resnet_deploy.quantization.stages import Stage, stages_of
from resnet_deploy.quantization.static import QuantizedNet
from resnet_deploy.spec import FirstConv, InputContract


def fp32_stages(model: onnx.ModelProto) -> tuple[Stage, ...]:
    """Return the stages of ``model``, fp32, as :func:`with_float` takes their operators."""
    return stages_of(cleaned(model))


def with_float(
    net: QuantizedNet,
    model: onnx.ModelProto,
    in_float: Collection[str],
    *,
    preprocess: InputContract | None,
    first_conv: FirstConv,
) -> QuantizedNet:
    """Return ``net``, made of ``model``, with the operators called ``in_float`` as they were.

    They are whole stages. Layers that are excluded by ``QuantizedNet.write`` keep the form that
    int8 wants; these do not, and ONNX Runtime fuses them as in the fp32 file.

    Raises:
        UnsupportedGraphError: the int8 parameters do not fit what is left.
    """
    prepared = prepare(model, preprocess, first_conv, in_float)
    if net.exponents:
        graph = ir.from_proto(prepared)
        groups = scale_groups(graph)
        # What stays float has factors as well, or those that it shares with int8 would be wrong.
        rescale(graph, groups, exponents_of(groups, net.exponents))
        prepared = ir.to_proto(graph)
    were, now = layers_by_name(net.prepared), layers_by_name(prepared)
    _, plan = planned(prepared)
    changed = [str(value.name) for value in plan.ranged if value.name not in net.parameters]
    weighted = [str(node.name) for node in plan.nodes if node.op_type in WEIGHTED]
    changed += [name for name in weighted if now.get(name) != were.get(name)]
    if changed:
        raise UnsupportedGraphError(
            f"{min(changed)} is another one when a part of the net stays in float"
        )
    return replace(net, prepared=prepared)
