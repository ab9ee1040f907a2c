from __future__ import annotations

import pytest
import torch
from torch import nn

from resnet_deploy.models.blocks import BasicBlock, BlockPlan, Bottleneck
from resnet_deploy.models.registry import build, skeleton
from resnet_deploy.models.shortcuts import ZeroPadShortcut
from resnet_deploy.spec import ModelSpec, Shortcut, Stem, Variant, resnet_spec, vgg19_spec

PARAMETERS = {
    18: 11_689_512,
    34: 21_797_672,
    50: 25_557_032,
    101: 44_549_160,
    152: 60_192_808,
}


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("depth", "count"), PARAMETERS.items())
def test_imagenet_nets_have_torchvisions_parameters(depth: int, count: int) -> None:
    assert parameters(skeleton(resnet_spec(depth), "meta")) == count


def test_vgg19_has_torchvisions_parameters_and_keys() -> None:
    module = skeleton(vgg19_spec(), "meta")
    keys = list(module.state_dict())
    assert parameters(module) == 143_667_240
    assert keys[:3] == ["features.0.weight", "features.0.bias", "features.2.weight"]
    assert "features.34.weight" in keys
    assert keys[-2:] == ["classifier.6.weight", "classifier.6.bias"]


def test_state_dict_keys_are_torchvisions() -> None:
    keys = list(skeleton(resnet_spec(50), "meta").state_dict())
    assert keys[:2] == ["conv1.weight", "bn1.weight"]
    for key in (
        "layer1.0.downsample.0.weight",
        "layer1.0.downsample.1.running_var",
        "layer3.5.conv3.weight",
        "layer4.2.bn3.num_batches_tracked",
        "fc.bias",
    ):
        assert key in keys
    assert len(keys) == 320


def test_block_counts_of_the_papers_figure_5() -> None:
    basic = BasicBlock(BlockPlan(inputs=256, widths=(256,), outputs=256), None)
    bottleneck = Bottleneck(BlockPlan(inputs=256, widths=(64, 64), outputs=256), None)

    def weights(block: nn.Module) -> int:
        return sum(m.weight.numel() for m in block.modules() if isinstance(m, nn.Conv2d))

    assert weights(basic) == 1_179_648
    assert weights(bottleneck) == 69_632


@pytest.mark.parametrize(("variant", "strides"), [(Variant.V1, (2, 1)), (Variant.V1_5, (1, 2))])
def test_variant_moves_the_stride(variant: Variant, strides: tuple[int, int]) -> None:
    block = skeleton(resnet_spec(50, variant=variant), "meta").get_submodule("layer2.0")
    assert isinstance(block, Bottleneck)
    assert (block.conv1.stride[0], block.conv2.stride[0]) == strides


@pytest.mark.parametrize(
    ("shortcut", "projections"), [(Shortcut.A, 0), (Shortcut.B, 3), (Shortcut.C, 16)]
)
def test_shortcut_options(shortcut: Shortcut, projections: int) -> None:
    keys = skeleton(resnet_spec(34, shortcut=shortcut), "meta").state_dict()
    assert sum(key.endswith("downsample.0.weight") for key in keys) == projections


def test_option_a_pads_with_zero_channels_on_both_sides() -> None:
    x = torch.randn(2, 16, 9, 9)
    out = ZeroPadShortcut(16, 32, 2)(x)
    assert out.shape == (2, 32, 5, 5)
    assert torch.equal(out[:, 8:24], x[:, :, ::2, ::2])
    assert not out[:, :8].any()
    assert not out[:, 24:].any()


def test_option_a_end_pads_with_zero_channels_behind() -> None:
    x = torch.randn(2, 16, 9, 9)
    out = ZeroPadShortcut(16, 32, 2, at_end=True)(x)
    assert torch.equal(out[:, :16], x[:, :, ::2, ::2])
    assert not out[:, 16:].any()


@pytest.mark.parametrize(
    "spec",
    [
        resnet_spec(18),
        resnet_spec(18, plain=True),
        resnet_spec(18, stem=Stem.CIFAR, num_classes=10),
        resnet_spec(18, stem=Stem.CIFAR_POOL, num_classes=10),
        resnet_spec(50, shortcut=Shortcut.A, variant=Variant.V1, image_size=64),
        resnet_spec(20),
        resnet_spec(8, plain=True, num_classes=7),
    ],
    ids=lambda spec: spec.name,
)
def test_forward_shape(spec: ModelSpec) -> None:
    module = build(spec)
    assert not any(child.training for child in module.modules())
    with torch.no_grad():
        logits = module(torch.zeros(2, 3, spec.image_size, spec.image_size))
    assert logits.shape == (2, spec.num_classes)


def test_plain_net_has_no_shortcut() -> None:
    plain = skeleton(resnet_spec(34, plain=True), "meta")
    assert not any("downsample" in key for key in plain.state_dict())
    assert not any(isinstance(child, ZeroPadShortcut) for child in plain.modules())
