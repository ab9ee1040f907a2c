"""Which network a checkpoint holds, and why it is refused.

Long because every layout and every contradiction has its row.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from resnet_deploy.artifact.files import sha256_of
from resnet_deploy.errors import CheckpointError, SpecError
from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.models.network import Network
from resnet_deploy.models.registry import build
from resnet_deploy.spec import (
    BlockKind,
    Family,
    ModelSpec,
    Shortcut,
    Stem,
    Variant,
    residual_spec,
    resnet_spec,
    uniform_design,
    vgg19_spec,
)
from resnet_deploy.spec.model_request import ModelRequest
from tests.support.states import (
    State,
    hugging_face,
    renamed,
    same_logits,
    shapes_of,
    state_of,
    write_config,
)

RESNET18 = resnet_spec(18, num_classes=5)
RESNET50 = resnet_spec(50, num_classes=4)
CIFAR8 = resnet_spec(8)
ASSUMED = "net.pth does not say, so assumed"
CIFAR8_B = resnet_spec(8, shortcut=Shortcut.B)


@pytest.fixture
def save(tmp_path: Path) -> Callable[[Any], str]:
    def write(content: Any) -> str:
        path = tmp_path / "net.pth"
        torch.save(content, path)
        return str(path)

    return write


def load(path: str, **request: Any) -> Network:
    return resolve(ModelRequest(**request), path)


def refusal(path: str, **request: Any) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(path, **request)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_random_weights_say_so() -> None:
    loaded = resolve(ModelRequest(depth=8), seed=5)
    assert (loaded.source.kind, loaded.source.seed) == ("random", 5)
    assert loaded.notices[0].startswith("weights are random (seed 5): good for speed")
    assert same_logits(loaded.module, build(CIFAR8, seed=5), 32)


@pytest.mark.parametrize(
    "spec",
    [
        RESNET18,
        resnet_spec(34, num_classes=3, shortcut=Shortcut.A),
        resnet_spec(18, num_classes=3, shortcut=Shortcut.C),
        resnet_spec(18, num_classes=10, stem=Stem.CIFAR),
        RESNET50,
        CIFAR8,
        resnet_spec(14, shortcut=Shortcut.B, num_classes=3),
        resnet_spec(8, shortcut=Shortcut.C),
    ],
    ids=lambda spec: f"{spec.name}-{spec.shortcut.value}-{spec.stem.value}",
)
def test_everything_is_inferred_from_the_tensors(
    spec: ModelSpec, save: Callable[[Any], str]
) -> None:
    path = save(state_of(spec))
    loaded = load(path)
    assert loaded.spec == spec
    assert loaded.source.file == "net.pth"
    assert loaded.source.sha256 == sha256_of(Path(path))
    assert not loaded.module.training
    assert loaded.notices == ()
    assert loaded.assumption.startswith(ASSUMED)
    assert same_logits(loaded.module, build(spec, seed=1), 32)


@pytest.mark.parametrize(
    ("name", "depth"), [("resnet20-12fca82f.th", 20), ("resnet32-d509ac18.th", 32)]
)
def test_real_cifar_checkpoints(shared_data: Path, name: str, depth: int) -> None:
    loaded = load(str(shared_data / "cifar10/checkpoints" / name))
    assert loaded.spec == resnet_spec(depth)
    assert loaded.spec.shortcut is Shortcut.A
    assert loaded.source.sha256 is not None
    assert name.split("-")[1].startswith(loaded.source.sha256[:8])


def test_vgg19(save: Callable[[Any], str]) -> None:
    spec = vgg19_spec(num_classes=3)
    path = save(shapes_of(spec))
    assert load(path).spec == spec
    assert load(path, model="vgg19").spec.family is Family.VGG
    assert "is a VGG, not a ResNet-34" in refusal(path, depth=34)
    assert "are for ResNets" in refusal(path, plain=True)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"state_dict": s, "epoch": 3, "optimizer": {"lr": 0.1}},
        lambda s: {"model": s, "args": argparse.Namespace(lr=0.1)},
        lambda s: {"model_state_dict": s},
        lambda s: {"ema": s},
        lambda s: {"net": s, "acc": 91.0},
        lambda s: {"checkpoint": 1, "model": {"state_dict": s}},
        lambda s: renamed(s, ("^", "module.")),
        lambda s: {"state_dict": renamed(s, ("^", "module.module.model._orig_mod."))},
        lambda s: {**renamed(s, ("^", "module.")), "n_averaged": torch.tensor(3)},
        lambda s: renamed(s, ("^(?!fc)", "backbone.")),
        lambda s: {k: v for k, v in s.items() if not k.endswith("num_batches_tracked")},
        lambda s: renamed(s, ("^fc", "linear"), (r"downsample\.", "shortcut.")),
        hugging_face,
    ],
    ids=range(13),
)
def test_wrappers_prefixes_and_layouts(
    wrap: Callable[[State], Any], save: Callable[[Any], str]
) -> None:
    loaded = load(save(wrap(state_of(CIFAR8_B))))
    assert loaded.spec == CIFAR8_B
    assert same_logits(loaded.module, build(CIFAR8_B, seed=1), 32)


def test_averaged_weights_come_first(save: Callable[[Any], str]) -> None:
    content = {"state_dict": state_of(CIFAR8, 1), "state_dict_ema": state_of(CIFAR8, 2)}
    loaded = load(save(content))
    assert "state_dict_ema is used" in loaded.notices[0]
    assert same_logits(loaded.module, build(CIFAR8, seed=2), 32)


def test_safetensors_whatever_its_name(tmp_path: Path) -> None:
    for name in ("model.safetensors", "model.pth"):
        save_file(state_of(CIFAR8), tmp_path / name)
        assert load(str(tmp_path / name)).spec == CIFAR8


def test_hugging_face_config_gives_variant_and_labels(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({k: torch.zeros(v.shape) for k, v in hugging_face(shapes_of(RESNET50)).items()}, path)
    labels = ["tench", "shark", "cock", "hen"]
    write_config(tmp_path, v1=True, labels=labels)
    loaded = load(str(path))
    assert loaded.spec.variant is Variant.V1
    assert loaded.labels == tuple(labels)
    assert "is a v1 net by the config.json" in refusal(str(path), variant=Variant.V1_5)

    write_config(tmp_path, v1=False, labels=["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3"])
    loaded = load(str(path))
    assert (loaded.spec.variant, loaded.labels) == (Variant.V1_5, ())

    (tmp_path / "config.json").write_text("[1, 2]")
    assert "not a valid config" in refusal(str(path))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_are_cast_and_told(
    dtype: torch.dtype, save: Callable[[Any], str]
) -> None:
    state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state_of(CIFAR8).items()}
    loaded = load(save(state))
    assert {p.dtype for p in loaded.module.parameters()} == {torch.float32}
    assert loaded.notices[0] == f"net.pth holds {str(dtype)[6:]} weights: cast to float32"


@pytest.mark.parametrize(
    ("spec", "request_", "message"),
    [
        (RESNET50, {"depth": 34}, "is a ResNet-50 (bottleneck blocks 3-4-6-3), not 34"),
        (CIFAR8, {"model": "resnet18"}, "is a ResNet-8 (basic blocks 1-1-1), not 18"),
        (CIFAR8, {"num_classes": 1000}, "has 10 classes, not 1000: drop --num-classes"),
        (RESNET18, {"stem": Stem.CIFAR}, "has a 7x7 conv1 (--stem imagenet), not --stem cifar"),
        (RESNET18, {"stem": Stem.CIFAR_POOL}, "(--stem imagenet), not --stem cifar-pool"),
        (RESNET18, {"shortcut": Shortcut.A_END}, "(option B), not option A-end"),
        (CIFAR8, {"shortcut": Shortcut.B}, "no projection shortcuts (option A), not option B"),
        (RESNET18, {"shortcut": Shortcut.A}, "where the shape changes (option B), not option A"),
        (RESNET18, {"plain": True}, "has projection shortcuts, so it is not plain"),
        (RESNET18, {"model": "vgg19"}, "is a ResNet, not vgg19"),
    ],
)
def test_contradictions_name_the_reason(
    spec: ModelSpec, request_: dict[str, Any], message: str, save: Callable[[Any], str]
) -> None:
    assert message in refusal(save(shapes_of(spec)), **request_)


@pytest.mark.parametrize(
    ("spec", "given", "assumed"),
    [
        (CIFAR8, {}, "--shortcut A-end; no shortcuts: --plain), no max-pool after the 3x3 conv1"),
        (CIFAR8, {"shortcut": Shortcut.A}, "assumed: no max-pool"),
        (CIFAR8, {"shortcut": Shortcut.A_END, "stem": Stem.CIFAR}, "assumed: BatchNorm's epsilon"),
        (RESNET50, {}, "assumed: the strides of v1.5 (of the paper: --variant v1), BatchNorm's"),
        (RESNET50, {"variant": Variant.V1}, "assumed: BatchNorm's epsilon"),
        (
            RESNET18,
            {},
            "BatchNorm's epsilon 1e-05 (--bn-eps), PyTorch's padding (--padding tf), strides",
        ),
        (CIFAR8_B, {"stem": Stem.IMAGENET}, "imagenet's max-pool after a 3x3 conv1"),
    ],
    ids=range(7),
)
def test_what_tensors_cannot_tell_is_named(
    spec: ModelSpec, given: dict[str, Any], assumed: str, save: Callable[[Any], str]
) -> None:
    told = load(save(shapes_of(spec)), **given).assumption
    assert told.startswith(ASSUMED)
    assert assumed in told


@pytest.mark.parametrize(
    ("spec", "given"),
    [
        (resnet_spec(8, shortcut=Shortcut.A_END), {"shortcut": Shortcut.A_END}),
        (resnet_spec(18, num_classes=3, stem=Stem.CIFAR_POOL), {"stem": Stem.CIFAR_POOL}),
        (resnet_spec(18, num_classes=3, stem=Stem.CIFAR_POOL), {"stem": Stem.IMAGENET}),
    ],
    ids=["zeros behind", "max-pool", "max-pool by ImageNet's name"],
)
def test_same_tensors_another_net(
    spec: ModelSpec, given: dict[str, Any], save: Callable[[Any], str]
) -> None:
    path = save(state_of(spec))
    loaded = load(path, **given)
    assert loaded.spec == spec
    assert same_logits(loaded.module, build(spec, seed=1), 32)
    assert not same_logits(load(path).module, loaded.module, 32)


def test_plain_is_what_the_user_says(save: Callable[[Any], str]) -> None:
    plain = resnet_spec(8, plain=True)
    assert load(save(state_of(plain)), plain=True).spec == plain
    assert load(save(state_of(plain))).spec.shortcut is Shortcut.A


BATCHNORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def without(*keys: str) -> Callable[[State], State]:
    return lambda state: {k: v for k, v in state.items() if k not in keys}


def with_(**tensors: torch.Tensor) -> Callable[[State], State]:
    return lambda state: {**state, **{k.replace("__", "."): v for k, v in tensors.items()}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            with_(layer1__0__se__fc1__weight=torch.ones(1)),
            "it lacks 'layer2.0.se.fc1.weight'",
        ),
        (without("layer2.0.bn1.bias"), "it lacks 'layer2.0.bn1.bias'; if the file is complete"),
        (without(*(f"bn1.{leaf}" for leaf in BATCHNORM)), "lacks 'bn1.weight'"),
        (
            lambda s: {k: v for k, v in s.items() if not k.startswith("layer4.")},
            "fc.weight is (5, 512) instead of (5, 256)",  # and no pool of maxima and means
        ),
        (
            lambda s: {k: v[:, :, None] if v.ndim == 4 else v for k, v in s.items()},
            "net of 3-D convolutions",
        ),
        (with_(conv1__weight_fake_quant__scale=torch.ones(1)), "in training for int8"),
        (with_(activation_post_process_0__eps=torch.ones(1)), "in training for int8"),
        (with_(fc__0__lora=torch.ones(2)), "has a head of other layers than those of a Sequential"),
        (with_(layer1__0__conv2__weight=torch.ones(64, 4, 3, 3)), "is (64, 4, 3, 3) instead of"),
        (with_(layer1__2__conv1__weight=torch.ones(64, 64, 3, 3)), "a resnet20-3-2-2-2, but"),
        (with_(conv1__weight=torch.ones(64, 3, 5, 5)), "has a 5x5 conv1"),
        (without("conv1.weight"), "holds no ResNet or VGG-19"),
        (
            lambda s: renamed(s, (r"^conv1\.", "conv1.0.")),
            "it has the unknown 'conv1.0.weight'",
        ),
        (lambda s: {"cls_token": torch.ones(1)}, "it has 'cls_token'"),
        (lambda s: {"features.0.0.weight": torch.ones(1)}, "it has 'features.0.0.weight'"),
        (lambda s: {"features.0.weight": torch.ones(1)}, "holds no ResNet or VGG-19"),
    ],
)
def test_other_architectures_are_refused_with_a_way_out(
    change: Callable[[State], State], message: str, save: Callable[[Any], str]
) -> None:
    text = refusal(save(change(shapes_of(RESNET18))))
    assert message in text
    assert "--model package.module:factory" in text or "backbone" in text


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("layer2.0.conv1.weight", float("nan"), "layer2.0.conv1.weight holds 1 NaN or infinite"),
        ("bn1.running_mean", float("inf"), "bn1.running_mean holds 1 NaN or infinite"),
        ("bn1.running_var", -1.0, "bn1.running_var holds negative variances"),
    ],
)
def test_broken_numbers_are_refused_by_layer(
    key: str, value: float, message: str, save: Callable[[Any], str]
) -> None:
    state = state_of(CIFAR8)
    state[key].view(-1)[0] = value
    assert message in refusal(save(state))


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.complex64])
def test_numbers_without_a_scale_are_refused(
    dtype: torch.dtype, save: Callable[[Any], str]
) -> None:
    state = shapes_of(RESNET18)
    text = refusal(save({**state, "layer1.0.conv1.weight": torch.ones(64, 64, 3, 3).to(dtype)}))
    assert f"layer1.0.conv1.weight holds {str(dtype).removeprefix('torch.')} values" in text


def test_a_net_of_one_width_may_be_of_either_order(save: Callable[[Any], str]) -> None:
    spec = residual_spec(
        uniform_design(BlockKind.BASIC, (2,), base=4, num_classes=3), image_size=32
    )
    assert "ReLU behind the Add" in load(save(state_of(spec))).assumption


def test_sparse_tensors_are_refused(save: Callable[[Any], str]) -> None:
    state = state_of(CIFAR8)
    state["fc.weight"] = state["fc.weight"].to_sparse()
    assert "'fc.weight' is sparse: save tensor.to_dense()" in refusal(save(state))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "holds no weights (a dict of nothing)"),
        ({"epoch": 3, "lr": 0.1}, "holds no weights (a dict of epoch, lr)"),
        ([1, 2], "holds no weights (list)"),
        (torch.ones(3), "holds no weights (Tensor)"),
    ],
)
def test_files_without_weights(content: Any, message: str, save: Callable[[Any], str]) -> None:
    assert message in refusal(save(content))


FACTORY = """
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 6)
    def forward(self, x):
        return self.head(self.backbone(x).mean((2, 3)))
"""


def test_checkpoint_of_a_factorys_net(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: Callable[[Any], str]
) -> None:
    (tmp_path / "own_net_of_checkpoint_test.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    request = ModelRequest(model="own_net_of_checkpoint_test:Net", image_size=16)
    made = resolve(request, seed=1)
    assert (made.source.kind, made.spec.num_classes) == ("factory", 6)

    state = dict(made.module.state_dict())
    path = save({"state_dict": renamed(state, ("^", "module."))})
    loaded = resolve(request, path, seed=2)
    assert loaded.source.kind == "file"
    assert same_logits(loaded.module, made.module, 16)

    for change, message in (
        (without("head.bias", "head.weight"), "it lacks 'head.weight' and 1 more"),
        (with_(extra=torch.ones(1)), "it has the unknown 'extra'"),
        (with_(head__bias=torch.ones(2)), "head.bias is (2,) instead of (6,)"),
    ):
        with pytest.raises(CheckpointError) as caught:
            resolve(request, save(change(state)))
        assert message in str(caught.value)
    with pytest.raises(SpecError, match="not for --model factories"):
        resolve(request, "imagenet")


def test_a_name_of_the_family_must_be_the_tensors_net(save: Callable[[Any], str]) -> None:
    spec = ModelRequest(model="resnetv2-20", num_classes=4).spec()
    path = save(state_of(spec))
    assert load(path).spec == spec
    assert load(path, model="resnetv2_20").assumed.keys().isdisjoint({"variant", "pool", "padding"})
    assert "is a resnetv2-20 (basic blocks 3-3-3), not seresnet20" in refusal(
        path, model="seresnet20"
    )
