"""Halving a map as TensorFlow, ``resnetblur50`` and ``resnetaa50`` do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import onnx
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_deploy.errors import SpecError
from resnet_deploy.exporter import export_graph
from resnet_deploy.models.fold import fold_batchnorm
from resnet_deploy.models.registry import build, skeleton
from resnet_deploy.models.resampling import BlurPool2d, MeanPool2d, SameBorder
from resnet_deploy.models.resnet import ResNet
from resnet_deploy.spec import (
    BlockKind,
    Family,
    ModelSpec,
    Padding,
    Pool,
    Variant,
    resnet_spec,
    uniform_design,
)
from tests.support.graphs import run


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (7, 2), (2, 2), (3, 3), (1, 2)])
def test_a_same_border_is_tensorflows_formula(size: int, kernel: int, stride: int) -> None:
    x = noise(1, 1, size, size + 1)
    padded = SameBorder(kernel, stride, 7.0)(x)
    for axis in (2, 3):
        given, made = x.shape[axis], padded.shape[axis]
        assert (made - kernel) // stride + 1 == -(-given // stride)
        added = max((-(-given // stride) - 1) * stride + kernel - given, 0)
        assert made == given + added
    rows = (padded.shape[2] - size) // 2
    columns = (padded.shape[3] - size - 1) // 2
    assert torch.equal(padded[:, :, rows : rows + size, columns : columns + size + 1], x)
    assert (padded == 7).sum() == padded.numel() - x.numel()


@pytest.mark.parametrize(("height", "width"), [(2, 3), (7, 8), (8, 8)])
def test_a_blur_mirrors_the_edges(height: int, width: int) -> None:
    x = noise(2, 5, height, width)
    kernel = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    mirrored = F.pad(x, (1, 1, 1, 1), mode="reflect")
    expected = F.conv2d(mirrored, kernel.expand(5, 1, 3, 3), stride=2, groups=5)
    torch.testing.assert_close(BlurPool2d()(x), expected)


def test_a_mean_of_four_pixels() -> None:
    x = noise(2, 3, 6, 10)
    torch.testing.assert_close(MeanPool2d()(x), F.avg_pool2d(x, 2))


def small(depth: int, **kind: Any) -> ModelSpec:
    return resnet_spec(depth, num_classes=5, image_size=64, **kind)


NETS = [
    small(18, padding=Padding.TF),
    small(18, pool=Pool.BLUR),
    small(18, pool=Pool.AVG),
    small(50, pool=Pool.BLUR, padding=Padding.TF, variant=Variant.V1),
    resnet_spec(8, pool=Pool.BLUR),
    resnet_spec(8, bn_eps=1e-3),
]
IDS = ["tf", "blur", "avg", "v1-blur-tf", "cifar-blur", "eps"]


def thin(spec: ModelSpec) -> ModelSpec:
    """The same with one block a stage, and few channels: what counts is where it pads."""
    kind = BlockKind.BOTTLENECK if spec.has_bottlenecks else BlockKind.BASIC
    design = uniform_design(kind, (1, 1, 1, 1), base=16, num_classes=spec.num_classes)
    return replace(spec, family=Family.RESIDUAL, depth=design.depth, design=design)


@pytest.mark.parametrize("spec", NETS, ids=IDS)
def test_they_have_no_weights_and_change_the_logits(spec: ModelSpec) -> None:
    size = spec.image_size
    usual = resnet_spec(
        spec.depth, num_classes=spec.num_classes, image_size=size, variant=spec.variant
    )
    net, plain = build(spec), build(usual)
    assert list(net.state_dict()) == list(plain.state_dict())
    assert spec.name == usual.name
    x = noise(2, 3, size, size)
    with torch.no_grad():
        assert not torch.allclose(net(x), plain(x), rtol=1e-3)


@pytest.mark.parametrize("spec", NETS[2:5], ids=IDS[2:5])
def test_the_graph_gives_the_same_in_operators_that_int8_knows(spec: ModelSpec) -> None:
    spec = spec if spec.depth == 8 else thin(spec)
    module = build(spec)
    folded, left = fold_batchnorm(module)
    assert left == ()
    graph = export_graph(folded, image_size=spec.image_size, opset=17)
    option_a = {"Pad"} if spec.depth == 8 else set()
    operators = {node.op_type for node in graph.graph.node}
    assert operators <= option_a | {
        *("Conv", "Relu", "Add", "MaxPool", "GlobalAveragePool", "Flatten", "Gemm"),
        *("Slice", "Concat"),
    }
    x = noise(3, 3, spec.image_size, spec.image_size)
    with torch.no_grad():
        expected = module(x)
    torch.testing.assert_close(
        torch.from_numpy(run(graph, x.numpy())), expected, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(("depth", "size"), [(18, 65), (50, 64)])
def test_tf_padding_is_onnxs_same_upper(depth: int, size: int) -> None:
    folded, _ = fold_batchnorm(
        build(thin(resnet_spec(depth, padding=Padding.TF, num_classes=5, image_size=size)))
    )
    graph = export_graph(folded, image_size=size, opset=17)
    x = noise(2, 3, size, size).numpy()
    expected = torch.from_numpy(run(graph, x))
    for node in graph.graph.node:
        if node.op_type in ("Conv", "MaxPool"):
            kept = [attribute for attribute in node.attribute if "pad" not in attribute.name]
            del node.attribute[:]
            node.attribute.extend([*kept, onnx.helper.make_attribute("auto_pad", "SAME_UPPER")])
    torch.testing.assert_close(torch.from_numpy(run(graph, x)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("pool", "size"), [(Pool.AVG, 225), (Pool.AVG, 48), (Pool.BLUR, 16), (Pool.AVG, 1)]
)
def test_sizes_without_halves_are_refused(pool: Pool, size: int) -> None:
    with pytest.raises(SpecError, match="--image-size that 32 divides"):
        skeleton(resnet_spec(18, pool=pool, image_size=size))


@pytest.mark.parametrize("kind", [{"pool": Pool.BLUR}, {"pool": Pool.AVG}, {"padding": Padding.TF}])
@pytest.mark.parametrize("depth", [18, 50])
def test_they_dilate(kind: dict[str, Any], depth: int) -> None:
    net = build(small(depth, **kind))
    assert isinstance(net, ResNet)
    net.dilate(8)
    with torch.no_grad():
        sizes = [tensor.shape[-1] for tensor in net.feature_maps(noise(1, 3, 64, 64))]
    assert sizes == [16, 8, 8, 8]
    blurs = [layer.stride for layer in net.modules() if isinstance(layer, BlurPool2d)]
    assert blurs == ([2, 2, 1, 1] if kind.get("pool") is Pool.BLUR else [])


@pytest.mark.parametrize("eps", [0.0, -1e-5, float("nan"), float("inf"), 2.0])
def test_an_epsilon_is_small_and_positive(eps: float) -> None:
    with pytest.raises(SpecError, match="--bn-eps must be above 0 and at most 1"):
        resnet_spec(18, bn_eps=eps)
