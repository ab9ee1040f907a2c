"""Stages of a net that stay in float, beside the int8 parameters of the rest."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import onnx

from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.quantization.plan import WEIGHTED
from resnet_deploy.quantization.prepare import cleaned, layers_by_name, planned, prepare
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
    changed: list[str] = []
    if net.equalized:
        now, unscaled = (
            layers_by_name(prepared),
            layers_by_name(prepare(model, preprocess, first_conv)),
        )
        changed = [name for name in net.equalized if now.get(name) != unscaled.get(name)]
    if not changed:
        _take_parameters(prepared, net.prepared, net.equalized)
    were, now = layers_by_name(net.prepared), layers_by_name(prepared)
    _, plan = planned(prepared)
    changed += [str(value.name) for value in plan.ranged if value.name not in net.parameters]
    weighted = [str(node.name) for node in plan.nodes if node.op_type in WEIGHTED]
    changed += [name for name in weighted if now.get(name) != were.get(name)]
    if changed:
        raise UnsupportedGraphError(
            f"{min(changed)} is another one when a part of the net stays in float"
        )
    return replace(net, prepared=prepared)


def _take_parameters(
    model: onnx.ModelProto, source: onnx.ModelProto, layers: Collection[str]
) -> None:
    """Give ``layers`` of ``model`` the weights and biases that they have in ``source``, in place.

    Factors of channels stand on both sides of a tensor, so a layer that stays float needs its own.
    """
    arrays = {tensor.name: tensor for tensor in source.graph.initializer}
    own = {tensor.name: tensor for tensor in model.graph.initializer}
    given = {node.name: node.input[1:3] for node in source.graph.node if node.name in layers}
    for node in model.graph.node:
        for index, name in enumerate(given.get(node.name, ()), start=1):
            if name in own:
                own[name].CopyFrom(arrays[name])
            else:
                own[name] = model.graph.initializer.add()
                own[name].CopyFrom(arrays[name])
            if index < len(node.input):
                node.input[index] = name
            else:
                node.input.append(name)
