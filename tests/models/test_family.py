"""Nets that came after the paper: built small, saved, told from their tensors, and built again."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_deploy.errors import CheckpointError, SpecError
from resnet_deploy.models.attention import (
    EfficientChannelAttention,
    SqueezeExcitation,
    with_attention_biases,
)
from resnet_deploy.models.fold import fold_batchnorm
from resnet_deploy.models.heads import with_plain_head
from resnet_deploy.models.infer import infer_spec, left_open
from resnet_deploy.models.init import initialize_for_training
from resnet_deploy.models.outputs import shape_output
from resnet_deploy.models.registry import build, skeleton
from resnet_deploy.models.resampling import MeanPool2d
from resnet_deploy.models.resnet import ResNet
from resnet_deploy.spec import (
    Attention,
    BlockKind,
    Design,
    Downsample,
    Family,
    HeadKind,
    HeadLayer,
    ModelSpec,
    Order,
    OutputSpec,
    Padding,
    Pool,
    Shortcut,
    Stem,
    Variant,
    residual_spec,
    uniform_design,
)
from resnet_deploy.spec.model_request import ModelRequest
from tests.support.designs import BASIC, DEEP, DESIGNS, GROUPED, attended
from tests.support.states import shapes_of


def picture(spec: ModelSpec) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (2, spec.in_channels, spec.image_size, spec.image_size)
    return torch.randn(shape, generator=generator)


def small(design: Design, **options: object) -> ModelSpec:
    stem = Stem.CIFAR if design.order is Order.IRESNET else Stem.IMAGENET
    return residual_spec(design, image_size=64, stem=stem, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_design_is_told_from_its_tensors(name: str, channels: int) -> None:
    spec = small(DESIGNS[name], in_channels=channels)
    module = build(spec, seed=1)
    told = infer_spec(dict(module.state_dict()), ModelRequest(image_size=64), "net.pth")
    assert told == spec
    if channels != 3:
        return
    again = skeleton(told)
    again.load_state_dict(module.state_dict())
    x = picture(spec)
    with torch.no_grad():
        answer = module(x)
        assert torch.equal(again(x), answer)
        folded, left = fold_batchnorm(module)
        torch.testing.assert_close(folded(x), answer, rtol=1e-4, atol=1e-4)
    # v2 and faces have BatchNorms in front of convolutions, which the graph's passes take, and
    # some heads have one in front of a linear layer.
    head = any(layer.kind is HeadKind.BATCHNORM for layer in spec.residual.head)
    assert bool(left) is (head or spec.residual.order is not Order.POST)
    assert answer.shape == (2, spec.num_classes or spec.residual.embedding or 64)
    apart = (answer[0] - answer[1]).abs().max() / answer.abs().max()
    assert 1e-3 < apart < 3
    assert 0.01 < answer.abs().max() < 100


@pytest.mark.parametrize("name", DESIGNS)
def test_a_design_can_be_trained_and_gives_features(name: str) -> None:
    spec = small(DESIGNS[name])
    module = skeleton(spec)
    initialize_for_training(module, 0)
    module.train()
    answer = module(picture(spec))
    (answer - answer.detach().flip(0)).square().sum().backward()
    for path, parameter in module.named_parameters():
        assert parameter.grad is not None, path
    assert isinstance(module, ResNet)
    parts = {id(p) for part in module.parts for layer in part for p in layer.parameters()}
    assert parts == {id(p) for p in module.parameters()}
    module.eval()
    with torch.no_grad():
        embedding = skeleton(spec).eval()
        shape_output(embedding, spec, OutputSpec.parse("embedding"))
        values = spec.residual.embedding or spec.residual.pooled
        assert embedding(picture(spec)).shape == (2, values)
        shape_output(module, spec, OutputSpec.parse("features"))
        maps = module(picture(spec))
    assert [m.shape[1] for m in maps] == [stage.channels for stage in spec.residual.stages]


@pytest.mark.parametrize("shortcut", [Shortcut.A, Shortcut.A_END, Shortcut.B, Shortcut.C])
@pytest.mark.parametrize("stem", list(Stem))
@pytest.mark.parametrize("pool", list(Pool))
def test_options_combine(shortcut: Shortcut, stem: Stem, pool: Pool) -> None:
    design = attended(GROUPED, Attention.SE)
    if shortcut in (Shortcut.B, Shortcut.C) and stem is Stem.IMAGENET:
        design = replace(design, stem=DEEP, downsample=Downsample.AVG)
    spec = residual_spec(design, image_size=64, stem=stem, shortcut=shortcut, pool=pool)
    module = build(spec)
    request = ModelRequest(image_size=64, stem=stem, shortcut=shortcut, pool=pool)
    assert infer_spec(dict(module.state_dict()), request, "net.pth") == spec
    with torch.no_grad():
        assert module(picture(spec)).isfinite().all()


def test_blocks_of_cifar_nets_of_any_width() -> None:
    for block, blocks, base in (
        (BlockKind.BASIC, (4, 4, 4), 40),
        (BlockKind.BOTTLENECK, (2, 2, 2), 16),
        (BlockKind.BASIC, (1, 3), 24),
    ):
        design = uniform_design(block, blocks, base=base, num_classes=3)
        spec = residual_spec(design, stem=Stem.CIFAR, shortcut=Shortcut.A)
        assert spec.family is Family.RESIDUAL
        state = dict(skeleton(spec, "meta").state_dict())
        assert infer_spec(state, ModelRequest(), "net.pth") == spec
    paper = uniform_design(BlockKind.BASIC, (3, 3, 3), base=16, num_classes=10)
    assert residual_spec(paper, stem=Stem.CIFAR, shortcut=Shortcut.A).family is Family.CIFAR


def test_squeeze_and_excitation_as_the_paper_has_it() -> None:
    module = SqueezeExcitation(6, 2)
    x = torch.randn(2, 6, 5, 7)
    with torch.no_grad():
        w1, w2 = (layer.weight.flatten(1) for layer in (module.fc1, module.fc2))
        hidden = F.linear(x.mean((2, 3)), w1, module.fc1.bias).relu()
        gate = torch.sigmoid(F.linear(hidden, w2, module.fc2.bias))
        torch.testing.assert_close(module(x), x * gate[:, :, None, None])
        relu = SqueezeExcitation(6, 2, relu_first=True)
        relu.load_state_dict(module.state_dict())
        torch.testing.assert_close(relu(x), module(x.relu()))


def test_channel_attention_as_the_paper_has_it() -> None:
    module = EfficientChannelAttention(3)
    x = torch.randn(2, 6, 5, 7)
    with torch.no_grad():
        z = F.pad(x.mean((2, 3)), (1, 1))
        w = module.conv.weight.flatten()
        gate = torch.sigmoid(torch.stack([w[i] * z[:, i : i + 6] for i in range(3)]).sum(0))
        torch.testing.assert_close(module(x), x * gate[:, :, None, None])


@pytest.mark.parametrize("size", [(6, 6), (7, 6), (6, 7), (7, 5)])
def test_average_pools_of_uneven_maps_are_timm_s(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size)
    pool = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)
    torch.testing.assert_close(MeanPool2d(uneven=True)(x), pool(x))


def test_a_projection_of_v2_reads_what_was_activated() -> None:
    spec = small(DESIGNS["v2"])
    net = build(spec).double()
    block, x = net.get_submodule("layer2.0"), torch.randn(1, 8, 16, 16, dtype=torch.float64)
    state = block.state_dict()

    def activated(name: str, y: Tensor) -> Tensor:
        mean, var, weight, bias = (
            state[f"{name}.{p}"] for p in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(y, mean, var, weight, bias).relu()

    with torch.no_grad():
        first = activated("bn1", x)
        out = F.conv2d(first, state["conv1.weight"], stride=2, padding=1)
        out = F.conv2d(activated("bn2", out), state["conv2.weight"], padding=1)
        expected = out + F.conv2d(first, state["downsample.0.weight"], stride=2)
        torch.testing.assert_close(block(x), expected)


def test_caffe_s_max_pool_has_its_border_behind() -> None:
    spec = small(attended(BASIC, Attention.SE), padding=Padding.CAFFE)
    x = torch.randn(1, 8, 32, 32)
    pool = build(spec).get_submodule("maxpool")
    torch.testing.assert_close(pool(x), F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-9e9), 3, 2))


def mlp(*layers: tuple[str, HeadKind, int]) -> Design:
    head = tuple(HeadLayer(path=path, kind=kind, outputs=n) for path, kind, n in layers)
    return replace(BASIC, head=head)


L, N, R = HeadKind.LINEAR, HeadKind.BATCHNORM, HeadKind.RELU


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        ((nn.Linear(64, 9), nn.ReLU(), nn.Linear(9, 5)), (("0", L), ("1", R), ("2", L))),
        (
            (nn.Dropout(), nn.Linear(64, 9), nn.ReLU(), nn.Dropout(), nn.Linear(9, 5)),
            (("1", L), ("2", R), ("4", L)),
        ),
        (
            (nn.Linear(64, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 5)),
            (("0", L), ("1", N), ("2", R), ("3", L)),
        ),
        # fastai's: the gap behind the first BatchNorm is Dropout.
        (
            (
                nn.Flatten(), nn.BatchNorm1d(64), nn.Dropout(), nn.Linear(64, 9), nn.ReLU(),
                nn.BatchNorm1d(9), nn.Dropout(), nn.Linear(9, 5, bias=False),
            ),
            (("1", N), ("3", L), ("4", R), ("5", N), ("7", L)),
        ),
        ((nn.Linear(64, 9), nn.Linear(9, 5)), (("0", L), ("1", L))),
    ],
)  # fmt: skip
def test_heads_are_told_by_their_gaps(
    layers: tuple[nn.Module, ...], found: tuple[tuple[str, HeadKind], ...]
) -> None:
    head = nn.Sequential(*layers).eval()
    body = build(small(replace(BASIC, head=())))
    state = dict(body.state_dict()) | {f"fc.{k}": v for k, v in head.state_dict().items()}
    state = with_plain_head(state)
    spec = infer_spec(state, ModelRequest(image_size=64), "net.pth")
    assert tuple((layer.path, layer.kind) for layer in spec.residual.head) == found
    assert spec.num_classes == 5
    relus = any(kind is R for _, kind in found)
    assert ("head" in left_open(spec, ModelRequest())) is relus
    module = skeleton(spec)
    module.load_state_dict(state)
    x = picture(spec)
    with torch.no_grad():
        torch.testing.assert_close(module(x), head(body(x)))
        shape_output(module, spec, OutputSpec.parse("embedding"))
        torch.testing.assert_close(module(x), head[:-1](body(x)))


@pytest.mark.parametrize("key", ["fc.weight", "fc.0.weight", "fc.3.weight"])
@pytest.mark.parametrize("pooled", [False, True])
def test_one_layer_is_one_layer_however_it_is_wrapped(key: str, pooled: bool) -> None:
    spec = small(BASIC)
    module = build(spec)
    state = dict(module.state_dict())
    weight, bias = state.pop("fc.weight"), state.pop("fc.bias")
    state[key] = weight[:, :, None, None] if pooled else weight
    state[key.replace("weight", "bias")] = bias
    state = with_plain_head(state)
    assert infer_spec(state, ModelRequest(image_size=64), "net.pth") == spec
    assert torch.equal(state["fc.weight"], weight)


def test_layers_without_a_bias_have_one_of_zero() -> None:
    spec = small(attended(BASIC, Attention.SE))
    bare = {
        key: tensor
        for key, tensor in build(spec).state_dict().items()
        if not key.endswith((".fc1.bias", ".fc2.bias")) and key != "fc.bias"
    }
    state = with_attention_biases(with_plain_head(bare))
    assert infer_spec(state, ModelRequest(image_size=64), "net.pth") == spec
    assert not state["fc.bias"].any()
    assert not state["layer1.0.se.fc1.bias"].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fc.0.weight": torch.ones(5, 64), "fc.2.weight": torch.ones(5)}, "not built here"),
        ({"fc.a.weight": torch.ones(5, 64)}, "other layers than those of a Sequential"),
        ({"fc.2.weight": torch.ones(5, 9)}, "looks like a"),
        ({"layer1.0.conv1.weight": torch.ones(2)}, "shapes|instead of|lacks"),
        ({"layer900000000.0.conv1.weight": torch.ones(2)}, "has the unknown"),
        ({"layer1.0.se.conv.weight": torch.ones(1, 1, 4)}, "no middle|lacks"),
        ({"layer2.0.conv1.weight": torch.ones(0, 8, 3, 3)}, "layers of 0 to"),
        ({"conv1.weight": torch.ones(8, 2, 7, 7)}, "pictures of 2 channels"),
        ({"layer1.0.downsample.0.weight": torch.ones(1)}, "lacks|unknown"),
    ],
)
def test_what_is_no_net_is_refused_in_one_line(change: dict[str, Tensor], message: str) -> None:
    state = dict(build(small(replace(BASIC, head=()))).state_dict())
    with pytest.raises(CheckpointError, match=message) as caught:
        infer_spec({**state, **change}, ModelRequest(), "net.pth")
    assert "\n" not in str(caught.value)


def test_a_file_s_design_is_what_its_checkpoint_has_to_have() -> None:
    design = attended(BASIC, Attention.SE_RELU)
    state = shapes_of(small(design))
    asked = ModelRequest(design=design)
    assert infer_spec(state, asked, "net.pth").design == design
    assert infer_spec(state, ModelRequest(), "net.pth").residual.attention is Attention.SE
    with pytest.raises(CheckpointError, match=r"net.pth is a seresnet\S+ .*, not a resnet"):
        infer_spec(state, ModelRequest(design=BASIC), "net.pth")


def test_a_backbone_has_no_logits_and_says_what_to_ask_for() -> None:
    for name in ("backbone", "faces"):
        spec = small(DESIGNS[name])
        with pytest.raises(SpecError, match=r"no classifier .* --output embedding"):
            shape_output(skeleton(spec), spec, OutputSpec())


def test_options_that_a_design_can_t_have_are_refused() -> None:
    faces = DESIGNS["faces"]
    with pytest.raises(SpecError, match="--image-size that 16 divides"):
        skeleton(residual_spec(faces, image_size=65, stem=Stem.CIFAR), "meta")
    with pytest.raises(SpecError, match="without shortcuts"):
        skeleton(small(DESIGNS["v2"], plain=True), "meta")
    spec = small(DESIGNS["d"])
    with pytest.raises(SpecError, match="--output-stride 8 is for"):
        shape_output(skeleton(spec), spec, OutputSpec.parse("features", stride=8))


@pytest.mark.parametrize("name", ["grouped", "deep-stem", "se", "eca", "v2-bottleneck", "senet"])
@pytest.mark.parametrize("variant", list(Variant))
def test_nets_of_the_family_dilate(name: str, variant: Variant) -> None:
    spec = small(DESIGNS[name], variant=variant)
    module = build(spec)
    shape_output(module, spec, OutputSpec.parse("features", stride=8))
    with torch.no_grad():
        assert [m.shape[-1] for m in module(picture(spec))] == [16, 8, 8, 8]


def test_what_names_of_tensors_leave_open_is_named() -> None:
    v2 = small(DESIGNS["v2-d"])
    assert "average pools" in left_open(v2, ModelRequest())["downsample"]
    assert "ReLU in front" in left_open(small(DESIGNS["se"]), ModelRequest())["attention"]
    assert "maximum" in left_open(small(DESIGNS["concat-pool"]), ModelRequest())["global-pool"]
    assert {"stem", "activation"}.isdisjoint(left_open(small(DESIGNS["faces"]), ModelRequest()))
