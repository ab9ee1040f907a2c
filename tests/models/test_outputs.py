"""What a module gives after it was asked for something else than logits."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_deploy.errors import SpecError
from resnet_deploy.models.fold import fold_batchnorm
from resnet_deploy.models.init import initialize
from resnet_deploy.models.outputs import answers, shape_output, tensor_names
from resnet_deploy.models.registry import build, skeleton
from resnet_deploy.models.resnet import NetOptions, ResNet
from resnet_deploy.spec import (
    BlockKind,
    Family,
    ModelSpec,
    OutputSpec,
    Stem,
    Variant,
    resnet_spec,
    uniform_design,
    vgg19_spec,
)

FEATURES = OutputSpec.parse("features")
EMBEDDING = OutputSpec.parse("embedding")
BLOCKS = (1, 2, 3, 2)


def block_layouts(counts: tuple[int, ...], output_stride: int) -> list[list[tuple[int, int]]]:
    """(stride, dilation) of every block: torchvision's ``ResNet._make_layer``, written anew."""
    replaced = {32: (False,) * 4, 16: (False,) * 3 + (True,), 8: (False,) * 2 + (True,) * 2}
    dilation, stages = 1, []
    for stage, count in enumerate(counts):
        stride = 1 if stage == 0 else 2
        previous = dilation
        if replaced[output_stride][stage]:
            dilation *= stride
            stride = 1
        stages.append([(stride, previous)] + [(1, dilation)] * (count - 1))
    return stages


class Functional:
    """The network from its state dict alone, with the strides and dilations of the layouts."""

    def __init__(self, net: ResNet, variant: Variant, output_stride: int) -> None:
        self.state = {name: value.double() for name, value in net.state_dict().items()}
        self.v1 = variant is Variant.V1
        self.layouts = block_layouts(BLOCKS, output_stride)

    def conv(self, name: str, norm: str, x: Tensor, stride: int, dilation: int = 1) -> Tensor:
        weight, s = self.state[f"{name}.weight"], self.state
        padding = dilation * (weight.shape[-1] // 2)
        y = F.conv2d(x, weight, stride=stride, padding=padding, dilation=dilation)
        mean, var = s[f"{norm}.running_mean"], s[f"{norm}.running_var"]
        return F.batch_norm(y, mean, var, s[f"{norm}.weight"], s[f"{norm}.bias"])

    def block(self, name: str, x: Tensor, stride: int, dilation: int) -> Tensor:
        convs = [(f"{name}.conv{i}", f"{name}.bn{i}") for i in (1, 2, 3)]
        if f"{name}.conv3.weight" in self.state:
            first, second = (stride, 1) if self.v1 else (1, stride)
            y = self.conv(*convs[0], x, first).relu()
            y = self.conv(*convs[1], y, second, dilation).relu()
            y = self.conv(*convs[2], y, 1)
        else:
            y = self.conv(*convs[0], x, stride, dilation).relu()
            y = self.conv(*convs[1], y, 1, dilation)
        if f"{name}.downsample.0.weight" in self.state:
            x = self.conv(f"{name}.downsample.0", f"{name}.downsample.1", x, stride)
        return (y + x).relu()

    def maps(self, x: Tensor) -> list[Tensor]:
        x = self.conv("conv1", "bn1", x.double(), 2).relu()
        x = F.max_pool2d(x, 3, 2, 1)
        maps = []
        for stage, blocks in enumerate(self.layouts):
            for number, (stride, dilation) in enumerate(blocks):
                x = self.block(f"layer{stage + 1}.{number}", x, stride, dilation)
            maps.append(x)
        return maps


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize(
    ("block", "variant"),
    [
        (BlockKind.BASIC, Variant.V1_5),
        (BlockKind.BOTTLENECK, Variant.V1_5),
        (BlockKind.BOTTLENECK, Variant.V1),
    ],
)
@pytest.mark.parametrize("size", [64, 65])
def test_dilated_nets_follow_torchvision_s_rule(
    block: BlockKind, variant: Variant, size: int, output_stride: int
) -> None:
    net = ResNet(uniform_design(block, BLOCKS, base=4), NetOptions(variant=variant)).eval()
    initialize(net, 0)
    spec = resnet_spec(50, image_size=size, variant=variant)
    shape_output(net, spec, OutputSpec.parse("features", stride=output_stride))
    x = torch.randn(1, 3, size, size)
    with torch.no_grad():
        got, expected = net(x), Functional(net, variant, output_stride).maps(x)
    sizes = [-(-size // min(stride, output_stride)) for stride in (4, 8, 16, 32)]
    assert [tensor.shape[-1] for tensor in got] == sizes
    for found, right in zip(got, expected, strict=True):
        torch.testing.assert_close(found.double(), right, rtol=1e-4, atol=1e-4 * float(right.max()))


@pytest.mark.parametrize(("stride", "size"), [(8, 8), (16, 4), (32, 2)])
def test_zero_padded_shortcuts_and_plain_nets_dilate_too(stride: int, size: int) -> None:
    for spec in (
        resnet_spec(18, image_size=64, plain=True),
        ModelSpec(family=Family.IMAGENET, depth=18, image_size=64, shortcut="A"),  # type: ignore[arg-type]
    ):
        net = skeleton(spec)
        shape_output(net, spec, OutputSpec.parse("features", stride=stride))
        with torch.no_grad():
            assert net(torch.zeros(1, 3, 64, 64))[-1].shape[-1] == size


def test_logits_of_a_dilated_net_need_the_same_weights() -> None:
    spec = resnet_spec(18, image_size=64, num_classes=7)
    net = build(spec)
    keys = set(net.state_dict())
    shape_output(net, spec, OutputSpec(stride=8))
    assert set(net.state_dict()) == keys
    assert net(torch.zeros(1, 3, 64, 64)).shape == (1, 7)


def test_an_embedding_is_what_the_classifier_sees() -> None:
    own = nn.Sequential(nn.Flatten(), nn.Linear(192, 5), nn.ReLU(), nn.Linear(5, 4)).eval()
    for spec, net in (
        (resnet_spec(20), build(resnet_spec(20))),
        (ModelSpec(family=Family.CUSTOM, factory="m:net", image_size=8), own),
    ):
        linear = [layer for layer in net.modules() if isinstance(layer, nn.Linear)][-1]
        seen: list[Tensor] = []
        handle = linear.register_forward_hook(lambda _m, x, _y, seen=seen: seen.append(x[0]))
        x = torch.randn(2, 3, spec.image_size, spec.image_size)
        with torch.no_grad():
            net(x)
            handle.remove()
            shape_output(net, spec, EMBEDDING)
            torch.testing.assert_close(net(x), seen[0])
        assert tensor_names(net, EMBEDDING) == ("embedding",)


def test_a_net_without_a_last_linear_layer_has_no_embedding() -> None:
    spec = ModelSpec(family=Family.CUSTOM, factory="m:net", image_size=8)
    ends_in_sigmoid = nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.Sigmoid())
    with pytest.raises(SpecError, match="net does not end in a linear layer"):
        shape_output(ends_in_sigmoid, spec, EMBEDDING)


def test_cifar_nets_have_three_maps() -> None:
    spec = resnet_spec(8)
    net = build(spec)
    shape_output(net, spec, FEATURES)
    assert tensor_names(net, FEATURES) == ("c2", "c3", "c4")
    shapes = [tuple(tensor.shape) for tensor in net(torch.zeros(1, 3, 32, 32))]
    assert shapes == [(1, 16, 32, 32), (1, 32, 16, 16), (1, 64, 8, 8)]


def test_folding_keeps_the_maps() -> None:
    spec = resnet_spec(8)
    net = build(spec)
    shape_output(net, spec, FEATURES)
    folded, left = fold_batchnorm(net)
    x = torch.randn(1, 3, 32, 32)
    assert left == ()
    with torch.no_grad():
        for found, wanted in zip(net(x), folded(x), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("spec", "output", "message"),
    [
        (resnet_spec(20), OutputSpec(stride=16), "not for resnet20"),
        (resnet_spec(18, stem=Stem.CIFAR), OutputSpec(stride=8), "their own stem"),
        (vgg19_spec(), OutputSpec(stride=8), "not for vgg19"),
        (vgg19_spec(), FEATURES, "vgg19 is not one"),
        (resnet_spec(20), OutputSpec.parse("top-11"), "resnet20 has 10 classes only"),
    ],
)
def test_what_a_net_can_t_give_is_refused(
    spec: ModelSpec, output: OutputSpec, message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        shape_output(skeleton(spec, device="meta"), spec, output)


def test_probabilities_and_the_best_of_them() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0, -1.0]])
    assert answers(logits, OutputSpec())[0] is logits
    (probabilities,) = answers(logits, OutputSpec.parse("softmax"))
    torch.testing.assert_close(probabilities.sum(), torch.tensor(1.0))
    values, classes = answers(logits, OutputSpec.parse("top-2"))
    assert classes.tolist() == [[1, 2]]
    torch.testing.assert_close(values, probabilities[:, [1, 2]])
