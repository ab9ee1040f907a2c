"""Names of residual nets, the designs they stand for, and back."""

from __future__ import annotations

import pytest

from resnet_deploy.errors import SpecError
from resnet_deploy.spec import (
    Attention,
    BlockKind,
    Design,
    Downsample,
    Family,
    Order,
    Padding,
    Pool,
    Stem,
    Variant,
    uniform_design,
)
from resnet_deploy.spec.model_request import ModelRequest
from resnet_deploy.spec.names import design_name, design_named

_ALL = (
    "resnet10t resnet14t resnet18d resnet26 resnet26t resnet34d resnet50c resnet50s "
    "resnet101d resnet200 resnet200d wide_resnet50_2 wide_resnet101_2 resnext50_32x4d "
    "resnext50d_32x4d resnext101_32x8d resnext101_32x48d resnext101_64x4d ecaresnet26t "
    "ecaresnet50d ecaresnet269d ecaresnetlight seresnet18 seresnet152d seresnext26d_32x4d "
    "seresnext101_64x4d senet154 resnetblur50d resnetaa101d seresnetaa50d "
    "seresnextaa101d_32x8d resnetrs50 resnetrs270 resnetrs420 resnetv2_18 resnetv2_34d "
    "resnetv2_50t resnetv2_152 iresnet18 iresnet50 iresnet100 iresnet200 seresnet20 "
    "resnetv2_110 resnetv2_164 wide_resnet28_10 wide_resnet34_10 resnext29_8x64d "
    "seresnext29_16x64d resnet20d ecaresnet56"
)
NAMES = _ALL.split()


@pytest.mark.parametrize("name", NAMES)
def test_names_lead_to_designs_and_back(name: str) -> None:
    named = design_named(name)
    assert named is not None
    assert design_name(named.design, pool=named.pool) == name.replace("_", "-")
    for other in (name.replace("_", "-"), name.upper()):
        again = design_named(other)
        assert again is not None
        assert again.design == named.design
    spec = ModelRequest(model=name).spec()
    assert spec.family is Family.RESIDUAL
    assert spec.name.replace("blur", "").replace("aa", "") == name.replace("_", "-").replace(
        "blur", ""
    ).replace("aa", "")


@pytest.mark.parametrize(
    "name",
    [
        "resnext26ts", "resnet50_gn", "res2net50_26w_4s", "resnest14d", "skresnet18",
        "seresnet33ts", "resnetv2_50x1_bit", "resnext18_32x4d", "resnext50", "resnet50_32x4d",
        "resnext50_0x4d",
        "wide_resnet50", "wide_resnet50_99", "wide_resnet18_2",
        "wide_resnet28", "resnext20_4x4d", "iresnet26", "senet50", "resnet19d",
        "resnet99999", "ecaresnetlightest", "legacy_resnet50", "resnet\u0665\u0660d", "",
    ],
)  # fmt: skip
def test_what_is_no_name_of_the_family(name: str) -> None:
    assert design_named(name) is None
    if name:
        with pytest.raises(SpecError, match="no model is called"):
            ModelRequest(model=name).spec()


def test_the_paper_s_names_stay_the_paper_s() -> None:
    for name, family in (
        ("resnet18", Family.IMAGENET),
        ("resnet_152", Family.IMAGENET),
        ("resnet-20", Family.CIFAR),
    ):
        assert ModelRequest(model=name).spec().family is family


def test_a_name_settles_what_tensors_don_t_show() -> None:
    legacy = ModelRequest(model="legacy_seresnet18").spec()
    assert legacy.padding is Padding.CAFFE
    assert legacy.residual.attention is Attention.SE_RELU
    assert [stage.squeezed for stage in legacy.residual.stages] == [4, 8, 16, 32]
    assert ModelRequest(model="legacy_seresnet50").spec().variant is Variant.V1
    assert ModelRequest(model="legacy_seresnext50_32x4d").spec().variant is Variant.V1_5
    assert ModelRequest(model="resnetblur50d").spec().pool is Pool.BLUR
    assert ModelRequest(model="seresnetaa50d").spec().pool is Pool.AVG
    faces = ModelRequest(model="iresnet50").spec()
    assert (faces.image_size, faces.num_classes, faces.residual.order) == (112, 0, Order.IRESNET)


def test_small_pictures_have_a_small_stem() -> None:
    spec = ModelRequest(model="resnet34d", stem=Stem.CIFAR, num_classes=7).spec()
    assert (spec.residual.stem, spec.image_size, spec.num_classes) == ((64,), 32, 7)
    assert spec.residual.downsample is Downsample.AVG
    assert spec.name == "resnet34d"
    with pytest.raises(SpecError, match="drop --num-classes and --stem"):
        ModelRequest(model="iresnet50", num_classes=10).spec()
    with pytest.raises(SpecError, match="drop --depth"):
        ModelRequest(model="resnet34d", depth=34).spec()


def test_small_nets_are_those_of_their_papers() -> None:
    grouped = ModelRequest(model="resnext29_8x64d").spec().residual
    assert [stage.channels for stage in grouped.stages] == [256, 512, 1024]
    assert grouped.stages[0].widths[0] == (512, 512)
    wide = ModelRequest(model="wide_resnet28_10").spec().residual
    assert (wide.order, wide.stem, wide.blocks) == (Order.PRE, (16,), (4, 4, 4))
    assert [stage.channels for stage in wide.stages] == [160, 320, 640]
    deep = ModelRequest(model="resnet20d", stem=Stem.IMAGENET).spec().residual
    assert deep.stem == (8, 8, 16)
    assert ModelRequest(model="resnet20d").spec().residual.stem == (16,)


def test_every_design_has_a_name_that_is_a_safe_stem_of_files() -> None:
    odd = uniform_design(BlockKind.BOTTLENECK, (1, 5, 2), base=24, groups=3, width=1.5)
    assert design_name(odd).replace("-", "").isalnum()
    assert len(design_name(odd)) < 60


@pytest.mark.parametrize(
    "numbers",
    [
        {"blocks": (10**6,)},
        {"blocks": (1,) * 9},
        {"blocks": (0, 1)},
        {"base": -8},
        {"base": 10**7},
        {"groups": 3},
        {"blocks": (400, 400, 400, 400), "base": 8000},
        {"num_classes": 10**9},
    ],
)
def test_absurd_numbers_are_refused(numbers: dict[str, object]) -> None:
    given: dict[str, object] = {"blocks": (1, 1), **numbers}
    with pytest.raises(SpecError, match="no residual net has") as caught:
        uniform_design(BlockKind.BOTTLENECK, **given)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 200


def test_a_design_of_no_stages_is_none() -> None:
    with pytest.raises(SpecError, match="0 stages of 0 blocks"):
        Design(block=BlockKind.BASIC, stages=())
