"""Layers that are written as they are give the graph that PyTorch's exporter gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from resnet_deploy.exporter import export_graph
from resnet_deploy.models.fold import fold_batchnorm
from resnet_deploy.models.outputs import shape_output
from resnet_deploy.models.registry import build
from resnet_deploy.plain_layers import plain_graph
from resnet_deploy.spec import ModelSpec, OutputSpec, Shortcut, Variant, residual_spec, resnet_spec
from tests.support.designs import DESIGNS

SIZE = 32

NETS: dict[str, ModelSpec] = {
    **{
        f"option {option.value}": resnet_spec(8, shortcut=option)
        for option in (Shortcut.A, Shortcut.A_END, Shortcut.B, Shortcut.C)
    },
    "plain": resnet_spec(8, plain=True),
    "imagenet": resnet_spec(18, image_size=SIZE, num_classes=5),
    "v1": residual_spec(DESIGNS["bottleneck"], image_size=SIZE, variant=Variant.V1),
    **{
        name: residual_spec(DESIGNS[name], image_size=SIZE)
        for name in ("grouped", "wide", "deep-stem", "v2", "v2-bottleneck")
    },
}

OUTPUTS = {word: OutputSpec.parse(word) for word in ("logits", "embedding", "features", "top3")}


def is_plain(module: nn.Module) -> bool:
    return plain_graph(module, ("logits",), image_size=SIZE, in_channels=3) is not None


def graph_of(module: nn.Module, output: OutputSpec = OUTPUTS["logits"]) -> onnx.ModelProto:
    return export_graph(module, image_size=SIZE, opset=18, output=output)


def content(model: onnx.ModelProto) -> tuple[object, ...]:
    """Return what ``model`` says, except for the names of integers and the order of constants."""
    graph = model.graph
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    numbers = {name: str(array.tolist()) for name, array in tensors.items() if array.dtype == int}
    for node in graph.node:
        node.input[:] = [numbers.get(name, name) for name in node.input]
    return (
        [node.SerializeToString(deterministic=True) for node in graph.node],
        [value.SerializeToString() for value in (*graph.input, *graph.output, *graph.value_info)],
        {name: array.tobytes() for name, array in tensors.items() if name not in numbers},
        model.ir_version,
        [(one.domain, one.version) for one in model.opset_import],
    )


@pytest.fixture
def by_the_exporter(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Have PyTorch's exporter write every net of this test."""
    monkeypatch.setattr("resnet_deploy.exporter.plain_graph", lambda *_, **__: None)
    return monkeypatch


def both(
    module: nn.Module, output: OutputSpec, patch: pytest.MonkeyPatch
) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Return what PyTorch's exporter writes, then what is written without it."""
    other = graph_of(module, output)
    patch.undo()
    patch.setattr("torch.onnx.export", None)
    return other, graph_of(module, output)


@pytest.mark.parametrize("name", NETS)
def test_the_graph_is_the_exporters(name: str, by_the_exporter: pytest.MonkeyPatch) -> None:
    module, _ = fold_batchnorm(build(NETS[name], seed=1))
    exporters, written = both(module, OUTPUTS["logits"], by_the_exporter)
    assert content(written) == content(exporters)


@pytest.mark.parametrize("word", ["embedding", "features", "top3"])
def test_so_it_is_for_any_output(word: str, by_the_exporter: pytest.MonkeyPatch) -> None:
    module = build(NETS["option A"], seed=1)
    shape_output(module, NETS["option A"], OUTPUTS[word])
    exporters, written = both(fold_batchnorm(module)[0], OUTPUTS[word], by_the_exporter)
    assert content(written) == content(exporters)


def test_batchnorms_are_folded_by_a_pass(by_the_exporter: pytest.MonkeyPatch) -> None:
    # PyTorch's exporter folds them itself, in float32: the last bit of a bias may be another.
    exporters, written = both(build(NETS["option B"], seed=1), OUTPUTS["logits"], by_the_exporter)
    assert written.graph.node == exporters.graph.node
    biases, others = (
        {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
        for model in (written, exporters)
    )
    assert biases.keys() == others.keys()
    for name, array in biases.items():
        np.testing.assert_allclose(array, others[name], rtol=3e-7, atol=1e-7)


class Own(nn.ReLU):
    """May compute anything."""


def with_a_hook(module: nn.Module) -> None:
    module.get_submodule("layer1.0.conv1").register_forward_hook(lambda _m, _x, y: 2 * y)


def with_a_method(module: nn.Module) -> None:
    module.get_submodule("relu").forward = torch.tanh


def in_training(module: nn.Module) -> None:
    module.get_submodule("layer1.0.bn1").train()


def in_double(module: nn.Module) -> None:
    module.get_submodule("fc").double()


CHANGES: dict[str, Callable[[nn.Module], None]] = {
    "hook": with_a_hook,
    "method": with_a_method,
    "training": in_training,
    "double": in_double,
    "subclass": lambda module: module.set_submodule("relu", Own()),
    "other layer": lambda module: module.set_submodule("relu", nn.SiLU()),
    "reflected": lambda module: module.set_submodule(
        "conv1", nn.Conv2d(3, 16, 3, padding=1, padding_mode="reflect")
    ),
    "worded": lambda module: module.set_submodule("conv1", nn.Conv2d(3, 16, 3, padding="same")),
    "no bias": lambda module: module.set_submodule("fc", nn.Linear(64, 10, bias=False)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_module_with_anything_else_is_the_exporters(change: str) -> None:
    module = build(NETS["option A"], seed=1)
    assert is_plain(module)
    CHANGES[change](module)
    assert not is_plain(module)
