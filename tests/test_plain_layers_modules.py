"""Whatever a module has become: it is written as it computes, or left to PyTorch's exporter."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.nn.utils import parametrize, prune

from resnet_deploy.errors import ExportError
from resnet_deploy.exporter import export_graph
from resnet_deploy.models.outputs import shape_output
from resnet_deploy.models.registry import build
from resnet_deploy.models.resnet import ResNet
from resnet_deploy.models.shortcuts import ZeroPadShortcut
from resnet_deploy.plain_layers import plain_graph
from resnet_deploy.spec import (
    BlockKind,
    OutputSpec,
    Shortcut,
    residual_spec,
    resnet_spec,
    uniform_design,
)

SIZE = 8
FEATURES = OutputSpec.parse("features")

Change = Callable[[Any], object]
"""Of a ResNet-8, the parts of which are attributes that mypy does not know."""


def conv(inputs: int = 3, outputs: int = 4, kernel: int = 3, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, **{"padding": 1, **options})


def with_values(layer: nn.Module, **values: object) -> nn.Module:
    for name, value in values.items():
        setattr(layer, name, value)
    return layer


def net(change: Change = lambda _: None) -> nn.Module:
    module = build(resnet_spec(8), seed=1)
    change(module)
    return module


def is_plain(module: nn.Module, *, size: int = SIZE, channels: int = 3, outputs: int = 1) -> bool:
    names = tuple(f"y{i}" for i in range(outputs))
    return plain_graph(module, names, image_size=size, in_channels=channels) is not None


def written(
    module: nn.Module, patch: pytest.MonkeyPatch, output: OutputSpec | None = None
) -> onnx.ModelProto:
    """Return the graph of ``module`` as it is written without PyTorch's exporter."""
    patch.setattr("torch.onnx.export", None)
    return export_graph(module, image_size=SIZE, opset=18, output=output or OutputSpec())


def check_answers(model: onnx.ModelProto, module: nn.Module) -> None:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for batch in (1, 2, 5):
        x = torch.randn(batch, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(batch))
        with torch.no_grad():
            given = module(x.clone())
        expected = given if isinstance(given, tuple) else (given,)
        for one, other in zip(session.run(None, {"input": x.numpy()}), expected, strict=True):
            np.testing.assert_allclose(one, other.numpy(), rtol=1e-4, atol=1e-5)


def doubled(*given: Any) -> Any:
    return 2 * given[-1] if isinstance(given[-1], torch.Tensor) else (2 * given[-1][0],)


@pytest.mark.parametrize(
    "register", [register_module_forward_hook, register_module_forward_pre_hook]
)
def test_hooks_of_all_modules_are_not_overlooked(register: Callable[[Any], Any]) -> None:
    module = net()
    handle = register(doubled)
    try:
        assert not is_plain(module)
    finally:
        handle.remove()
    assert is_plain(module)


@pytest.mark.parametrize(
    ("kind", "name"), [(nn.ReLU, "forward"), (nn.Conv2d, "_conv_forward"), (ResNet, "forward")]
)
def test_other_code_in_a_class_is_not_overlooked(
    kind: type[nn.Module], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = net()
    monkeypatch.setattr(kind, name, lambda _self, x, *_weights: torch.tanh(x))
    assert not is_plain(module)


class Doubled(torch.Tensor):
    """Weights that count twice."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given: Any = super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]
        return 2 * given if func is F.conv2d else given


def with_weight(path: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Change:
    def changed(module: nn.Module) -> None:
        layer: Any = module.get_submodule(path)
        layer.weight = nn.Parameter(change(layer.weight.detach()), requires_grad=False)

    return changed


def with_layer(path: str, layer: nn.Module) -> Change:
    return lambda module: module.set_submodule(path, layer.eval())


OTHERS: dict[str, Change] = {
    "round borders": lambda m: setattr(m.conv1, "_conv_forward", lambda x, *_: F.pad(x, (1, 1))),
    "call": lambda m: setattr(m.relu, "_call_impl", torch.tanh),
    "compiled": lambda m: m.layer1.compile(backend="eager"),
    "parametrized": lambda m: parametrize.register_parametrization(m.conv1, "weight", nn.ReLU()),
    "pruned": lambda m: prune.random_unstructured(m.conv1, "weight", 0.5),  # type: ignore[no-untyped-call]
    "kind of tensor": with_weight("conv1", lambda w: w.as_subclass(Doubled)),
    "meta": with_weight("conv1", lambda w: w.to("meta")),
    "sparse": with_weight("fc", torch.Tensor.to_sparse),
    "negated": with_weight("fc", torch._neg_view),
    "integers": with_weight("fc", torch.Tensor.int),
    "complex": with_weight("fc", lambda w: w.to(torch.complex64)),
    "half": lambda m: m.half(),
    "double that is not a parameter": lambda m: m.fc.__dict__.update(
        weight=m.fc._parameters.pop("weight").double()
    ),
    "tensor as a step": lambda m: setattr(m.layer2[0].downsample, "stride", torch.tensor(2)),
    "tensors as widths": lambda m: setattr(
        m.layer2[0].downsample, "channel_pad", (torch.tensor(8), torch.tensor(8))
    ),
    "negative step": lambda m: setattr(m.layer2[0].downsample, "stride", -1),
}


@pytest.mark.parametrize("change", OTHERS)
def test_what_is_not_told_by_the_layers_is_the_exporters(change: str) -> None:
    assert not is_plain(net(OTHERS[change]))


@pytest.mark.parametrize(
    "change",
    [
        lambda m: delattr(m, "fc"),
        lambda m: setattr(m, "avgpool", None),
        with_layer("fc", nn.Linear(7, 10)),
        with_layer("fc", nn.Sequential(nn.BatchNorm2d(64))),
        with_layer("conv1", conv(4, 16)),
        with_layer("conv1", conv(3, 17)),
        with_layer("conv1", conv(3, 16, 11, padding=0)),
        with_layer("layer1.0.bn1", nn.BatchNorm2d(7)),
        with_layer("layer1", nn.MaxPool2d(2, 2, 2)),
        with_layer("layer1", nn.MaxPool2d(True)),
        with_layer("layer1.0.conv2", conv(16, 16, stride=2)),
    ],
)  # fmt: skip
def test_a_net_that_pytorch_can_t_run_is_refused_as_ever(
    change: Change, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ExportError, match="torch can't trace the module"):
        export_graph(net(change), image_size=SIZE, opset=18)
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


def test_pictures_of_other_channels_or_sizes_are_refused_as_ever() -> None:
    assert not is_plain(net(), channels=1)
    assert not is_plain(nn.Sequential(conv(padding=0)).eval(), size=2)
    # ONNX's own shapes of a negative size end the process.
    assert not is_plain(net(with_layer("conv1", conv(3, 16, 7))), size=2)


@pytest.mark.parametrize(
    "layers",
    [
        (conv(), nn.Linear(SIZE, 2)),
        (with_values(conv(), stride=(np.int64(2), np.int64(2))),),
        (with_values(conv(), bias=nn.Parameter(torch.zeros(1))),),
        (with_values(conv(), groups=2),),
        (with_values(conv(), weight=nn.Parameter(torch.zeros(4, 3, 3))),),
        (conv(), nn.BatchNorm2d(4, affine=False)),
        (conv(), nn.BatchNorm2d(4, track_running_stats=False)),
        (conv(), nn.AdaptiveAvgPool2d(None)),
        (conv(), nn.MaxPool2d(3, ceil_mode=True)),
        (conv(), ZeroPadShortcut(4, 2, 1)),
        (conv(), with_values(ZeroPadShortcut(4, 8, 1), channel_pad=(1, 1, 1, 0))),
        (conv(), with_values(ZeroPadShortcut(4, 8, 1), channel_pad=(1,))),
    ],
)  # fmt: skip
def test_other_numbers_are_the_exporters(layers: tuple[nn.Module, ...]) -> None:
    assert not is_plain(nn.Sequential(*layers).eval())


@pytest.mark.parametrize(
    "layers",
    [
        (with_values(conv(), weight=nn.Parameter(torch.ones(4, 3, 5, 5))),),
        (with_values(conv(), stride=2, dilation=1, padding=0),),
        (conv(stride=(2, 1), padding=(1, 0), dilation=(1, 2)), nn.MaxPool2d((3, 2), (2, 1))),
        (conv(), nn.BatchNorm2d(4, eps=1), nn.ReLU(inplace=True)),
        (ZeroPadShortcut(3, 4, 3), ZeroPadShortcut(4, 7, 2, at_end=True)),
    ],
)  # fmt: skip
def test_layers_are_written_as_they_compute(
    layers: tuple[nn.Module, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = nn.Sequential(*layers).eval()
    check_answers(written(module, monkeypatch), module)


def in_place_on_what_is_added(module: Any) -> None:
    """The shortcut of the first block adds what the ReLU of its branch has made of its input."""
    module.layer1[0].conv1 = nn.Identity().eval()
    module.layer1[0].bn1 = nn.Dropout().eval()


def in_place_on_a_given_map(module: Any) -> None:
    module.layer2.insert(0, nn.ReLU(inplace=True).eval())
    module.layer1[0].relu = nn.Identity().eval()


def test_an_operator_in_place_changes_all_that_lies_in_its_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not is_plain(net(in_place_on_what_is_added))
    assert is_plain(net(in_place_on_a_given_map))
    maps = build(resnet_spec(8), seed=1)
    shape_output(maps, resnet_spec(8), FEATURES)
    check_answers(written(maps, monkeypatch, FEATURES), maps)
    in_place_on_a_given_map(maps)
    assert not is_plain(maps, outputs=3)


def test_a_tensor_that_is_given_twice_is_the_exporters() -> None:
    module: Any = build(resnet_spec(8), seed=1)
    module.gives_maps = True
    module.layer1 = module.layer2 = module.layer3 = nn.Identity().eval()
    for outputs in (1, 2, 3):
        assert not is_plain(module, outputs=outputs)


def test_a_layer_that_runs_twice_has_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    pad = ZeroPadShortcut(16, 24, 1)
    module = net(with_layer("layer2.0.downsample", nn.Sequential(pad, pad, nn.MaxPool2d(1, 2))))
    graph = written(module, monkeypatch)
    pads = [node for node in graph.graph.node if node.op_type == "Pad"][:2]
    assert [one.value for node in pads for one in node.metadata_props] == [
        "layer2.0.downsample.0"
    ] * 2
    check_answers(graph, module)


def test_a_step_of_one_takes_nothing_away(monkeypatch: pytest.MonkeyPatch) -> None:
    design = uniform_design(BlockKind.BOTTLENECK, (1, 2), base=8, num_classes=5)
    module = build(residual_spec(design, image_size=SIZE, shortcut=Shortcut.A))
    graph = written(module, monkeypatch)
    first = [node.op_type for node in graph.graph.node if "layer1.0.downsample" in node.name]
    assert first == ["Pad"]
    check_answers(graph, module)


def test_the_module_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    module, other = net(), net(OTHERS["tensors as widths"])
    attributes = set(vars(other))
    weights = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    written(module, monkeypatch)
    assert not is_plain(other)
    assert set(vars(other)) == attributes
    assert all(torch.equal(weights[name], one) for name, one in module.state_dict().items())


def test_two_threads_write_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    module = net()
    alone = written(module, monkeypatch).SerializeToString(deterministic=True)
    with ThreadPoolExecutor(2) as threads:
        graphs = [threads.submit(written, module, monkeypatch) for _ in range(8)]
    assert {one.result().SerializeToString(deterministic=True) for one in graphs} == {alone}
