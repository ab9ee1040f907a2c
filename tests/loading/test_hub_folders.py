"""Folders as hubs have them: configs beside the weights say what tensors can't.

Long because every field of two hubs has its row, right and wrong.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from resnet_deploy.errors import CheckpointError
from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.loading.config_file import Fields
from resnet_deploy.loading.hub_config import read_hub_config
from resnet_deploy.models.network import Network
from resnet_deploy.spec import (
    IMAGENET_MEAN,
    Learned,
    ModelSpec,
    Padding,
    Pool,
    ResizeMode,
    Stem,
    Variant,
    resnet_spec,
)
from resnet_deploy.spec.model_request import ModelRequest
from tests.support.states import hugging_face, shapes_of

RESNET18 = resnet_spec(18, num_classes=10)
TIMM: dict[str, Any] = {
    "architecture": "resnet18",
    "num_classes": 10,
    "pretrained_cfg": {
        "tag": "a1_in1k",
        "input_size": [3, 224, 224],
        "test_input_size": [3, 288, 288],
        "interpolation": "bicubic",
        "crop_pct": 0.95,
        "test_crop_pct": 1.0,
        "crop_mode": "center",
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.25, 0.3],
    },
}


def hub(folder: Path, config: Any, spec: ModelSpec = RESNET18) -> Path:
    torch.save(shapes_of(spec), folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def load(path: Path, **request: Any) -> Network:
    return resolve(ModelRequest(**request), str(path))


def changed(**fields: Any) -> dict[str, Any]:
    """The config with other fields; those of ``pretrained_cfg`` where they are its."""
    inner = {k: v for k, v in fields.items() if k in TIMM["pretrained_cfg"]}
    outer = {k: v for k, v in fields.items() if k not in inner}
    return {**TIMM, "pretrained_cfg": {**TIMM["pretrained_cfg"], **inner}, **outer}


@pytest.mark.parametrize(("name", "pool"), [("resnetblur50", Pool.BLUR), ("resnetaa50", Pool.AVG)])
def test_timms_own_logits(shared_data: Path, tmp_path: Path, name: str, pool: Pool) -> None:
    zoo = shared_data / "zoo"
    described = json.loads((zoo / f"timm-{name}.json").read_text())
    source = importlib.util.spec_from_file_location("zoo_seeded", zoo / "seeded.py")
    assert source is not None
    assert source.loader is not None
    seeded = importlib.util.module_from_spec(source)
    source.loader.exec_module(seeded)
    state = {k: torch.from_numpy(v) for k, v in seeded.state(described["keys"]).items()}
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(described["config"]))

    network = load(tmp_path)

    assert network.spec == resnet_spec(50, pool=pool)
    assert network.notices == ()
    assert network.preprocess.assumed == ()
    crop = described["config"]["pretrained_cfg"]["crop_pct"]
    assert network.preprocess.resize == (int(224 / crop),) * 2
    assert network.preprocess.interpolation == "bicubic"
    assert network.labels[0] == "tench"
    expected = np.load(zoo / f"timm-{name}.npy")
    with torch.no_grad():
        logits = network.module(torch.from_numpy(seeded.images(len(expected)))).numpy()
    assert np.abs(logits - expected).max() < 1e-5 * np.abs(expected).max()


def test_every_config_of_the_zoo_is_built_or_refused_by_name(
    shared_data: Path, tmp_path: Path
) -> None:
    built, refused = set(), {}
    hub(tmp_path, {}, resnet_spec(50))
    for path in sorted((shared_data / "zoo").glob("timm-*.json")):
        config = json.loads(path.read_text())["config"]
        (tmp_path / "config.json").write_text(json.dumps(config))
        name = config["architecture"]
        try:
            built.add(load(tmp_path) and name)
        except CheckpointError as error:
            refused[name] = str(error)
    others = {"res2net50_26w_4s", "resnest14d", "resnet50_gn", "resnext26ts", "skresnet18"}
    for name, said in refused.items():
        if name in others:
            assert f"config.json: the architecture is {name!r}, which is not" in said
        else:
            assert "by its tensors, and a " in said
    assert others < set(refused)
    assert built == {"resnetblur50", "resnetaa50"}


def test_transformers_folder(shared_data: Path, tmp_path: Path) -> None:
    for source in (shared_data / "hub-folders/hf-resnet18").iterdir():
        shutil.copyfile(source, tmp_path / source.name)
    torch.save(hugging_face(shapes_of(RESNET18)), tmp_path / "pytorch_model.bin")
    for path in (tmp_path, tmp_path / "pytorch_model.bin"):
        network = load(path)
        assert network.spec == RESNET18
        assert network.labels == tuple(f"kind {n}" for n in range(10))
        assert network.notices == ()
        made = network.preprocess
        assert (made.mean, made.std) == ((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
        assert (made.resize, made.interpolation) == ((256, 256), "bicubic")
        assert set(made.learned.values()) == {Learned.CONFIG}
    (tmp_path / "config.json").write_text('{"model_type": "resnet"}')
    with pytest.raises(CheckpointError, match=r"is a v1\.5 net by the .*: drop --variant"):
        load(tmp_path, variant=Variant.V1)


@pytest.mark.parametrize(
    ("config", "wanted", "sentence"),
    [
        (TIMM, None, "shorter side 235 bicubic, centre 224, mean 0.5 0.4 0.3, std 0.2 0.25 0.3"),
        (TIMM, 288, "shorter side 288 bicubic, centre 288, mean 0.5 0.4 0.3, std 0.2 0.25 0.3"),
        (TIMM, 320, "shorter side 336 bicubic, centre 320, mean 0.5 0.4 0.3, std 0.2 0.25 0.3"),
        (
            changed(crop_mode="squash", crop_pct=1.0),
            None,
            "squashed to 224x224 bicubic, mean 0.5 0.4 0.3, std 0.2 0.25 0.3",
        ),
        (
            changed(interpolation="random"),
            None,
            "shorter side 235 bilinear, centre 224, mean 0.5 0.4 0.3, std 0.2 0.25 0.3  "
            "(interpolation: assumed)",
        ),
        (
            changed(std=[0, 1, 1]),
            None,
            "shorter side 235 bicubic, centre 224, mean 0.5 0.4 0.3, std 0.229 0.224 0.225  "
            "(std: assumed)",
        ),
        (
            {"architecture": "resnet18", **TIMM["pretrained_cfg"]},
            None,
            "shorter side 235 bicubic, centre 224, mean 0.5 0.4 0.3, std 0.2 0.25 0.3",
        ),
        (
            {"architecture": "resnet18.a1_in1k"},
            None,
            "shorter side 256 bilinear, centre 224, mean 0.485 0.456 0.406, std 0.229 0.224 0.225  "
            "(size, range, mean, std, resize, interpolation: assumed)",
        ),
    ],
    ids=range(8),
)
def test_timms_pictures(tmp_path: Path, config: Any, wanted: int | None, sentence: str) -> None:
    network = load(hub(tmp_path, config), image_size=wanted)
    assert network.preprocess.sentence == f"RGB 0 to 1, {sentence}"
    assert network.notices == ()


def test_a_border_is_padded_and_said(tmp_path: Path) -> None:
    network = load(hub(tmp_path, changed(crop_mode="border", crop_pct=1.0)))
    assert network.preprocess.resize_mode is ResizeMode.PAD
    [told] = network.notices
    assert "here with black" in told


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"architecture": "skresnet18.ra_in1k"},
            "'skresnet18.ra_in1k', which is not built here: load it with --model timm:skresnet18,",
        ),
        ({"architecture": "a b"}, "'a b', which is not built here: load it with --model package"),
        ({"model_args": {"output_stride": 16}}, "model_args: output_stride changes the net"),
        (
            {"architecture": "resnet50d.ra2_in1k"},
            "a resnet18 by its tensors, and a resnet50d by",
        ),
        ({"architecture": "tf_efficientnet_b0"}, "the architecture is 'tf_efficientnet_b0'"),
        ({"architecture": "resnet34"}, "is a resnet18 by its tensors, and a resnet34 by"),
        ({"global_pool": "max"}, "global_pool is 'max', which is not built here"),
        ({"model_args": {"act_layer": "silu"}}, "model_args: act_layer changes the net"),
        ({"model_args": {"global_pool": "catavgmax"}}, "global_pool is 'catavgmax'"),
        ({"input_size": [3, 48, 192]}, "input_size is 48x192 pixels, .* with --image-size"),
        ({"input_size": [2, 224, 224]}, "input_size is .*, and pictures have 1, 3 or 4 channels"),
        ({"input_size": [3, -1, 224]}, "input_size is .*, not channels, height and width"),
        ({"crop_pct": 1.5}, "crop_pct is 1.5, not a number above 0 and at most 1"),
        ({"crop_pct": 0.001}, "crop_pct is 0.001, which resizes pictures to 224000 pixels"),
        ({"crop_mode": "spiral"}, "crop_mode is 'spiral', none of center, squash, border"),
        ({"mean": [0.5, "x", 0.5]}, "mean is .*, not one finite number, nor three"),
        ({"std": [float("nan")] * 3}, "is not a valid config .NaN is not a number.: repair"),
        ({"std": [-0.2, 0.2, 0.2]}, "std is .*, negative"),
        ({"pretrained_cfg": 3}, "pretrained_cfg is 3, not an object"),
        ({"label_names": 3}, "label_names is 3, neither a list of names nor an object"),
    ],
    ids=range(20),
)
def test_configs_that_are_refused(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        load(hub(tmp_path, changed(**fields)))
    assert "config.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"architecture": "resnetblur18"}, "not that of --model timm:resnet18: use --model timm:"),
        ({"model_args": {"act_layer": "silu"}}, "act_layer changes the net, which --model timm:"),
        ({"global_pool": "max"}, "global_pool is 'max', which --model timm:resnet18 does not say"),
    ],
    ids=range(3),
)
def test_what_a_name_of_timms_would_build_otherwise(fields: dict[str, Any], message: str) -> None:
    config = Fields(changed(**fields), "config.json")
    with pytest.raises(CheckpointError, match=message):
        read_hub_config(config, hugging_face=False, model="timm:resnet18", wanted=None)
    for model in ("timm:resnet18.a1_in1k", "own.code:net"):
        usual = {"output_stride": 32, "in_chans": 3, "act_layer": "relu"}
        same = Fields(changed(model_args=usual), "config.json")
        assert read_hub_config(same, hugging_face=False, model=model, wanted=None) is not None


@pytest.mark.parametrize(
    ("asked", "option"),
    [
        ({"pool": Pool.BLUR}, "--pool plain net by the config.json beside it: drop --pool"),
        ({"padding": Padding.TF}, "--padding torch net by the config.json beside it: drop"),
        ({"bn_eps": 1e-3}, "--bn-eps 1e-05 net by the config.json beside it: drop --bn-eps"),
    ],
    ids=range(3),
)
def test_requests_that_say_otherwise(tmp_path: Path, asked: dict[str, Any], option: str) -> None:
    with pytest.raises(CheckpointError, match=option):
        load(hub(tmp_path, TIMM), **asked)
    same = {"pool": Pool.PLAIN, "padding": Padding.TORCH, "bn_eps": 1e-5, "variant": Variant.V1}
    assert load(tmp_path, **same).spec.pool is Pool.PLAIN


@pytest.mark.parametrize(
    "name",
    ["resnet18", "gluon_resnet18_v1b", "ssl_resnet18", "swsl_resnet18.fb_ig1b_ft_in1k"],
)
def test_names_of_the_same_net(tmp_path: Path, name: str) -> None:
    assert load(hub(tmp_path, changed(architecture=name))).spec == RESNET18


@pytest.mark.parametrize(
    ("fields", "labels"),
    [
        ({"label_names": list("abcdefghij")}, tuple("abcdefghij")),
        ({"label_names": {str(n): f"c{n}" for n in range(10)}}, tuple(f"c{n}" for n in range(10))),
        ({"labels": list("abcdefghij")}, tuple("abcdefghij")),
        (
            {
                "label_names": [f"n0144076{n}" for n in range(10)],
                "label_descriptions": {"n01440764": "tench, Tinca tinca"},
            },
            tuple(f"n0144076{n}" + (" tench, Tinca tinca" if n == 4 else "") for n in range(10)),
        ),
        ({}, ()),
    ],
    ids=range(5),
)
def test_timms_names(tmp_path: Path, fields: dict[str, Any], labels: tuple[str, ...]) -> None:
    assert load(hub(tmp_path, changed(**fields))).labels == labels


def test_names_of_other_classes_are_not_used(tmp_path: Path) -> None:
    network = load(hub(tmp_path, changed(label_names=["a", "b"])))
    assert network.labels == ()
    [told] = network.notices
    assert "names 2 classes, the weights have 10" in told


def test_a_3x3_stem_stays_open(tmp_path: Path) -> None:
    spec = resnet_spec(18, num_classes=10, stem=Stem.CIFAR)
    network = load(hub(tmp_path, changed(input_size=[3, 32, 32], crop_pct=1.0), spec))
    assert network.assumption.endswith(
        "so assumed: no max-pool after the 3x3 conv1 (with one: --stem cifar-pool)"
    )
    assert network.preprocess.resize == (32, 32)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"model_type": "regnet"},
            "model_type is 'regnet', which is not built here: load it with --model hf:",
        ),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu', which is not built here"),
        ({"downsample_in_first_stage": True}, "downsample_in_first_stage is True, which is not"),
        ({"depths": [3, 4, 6, 3]}, "a resnet18 by its tensors, and a net of 34 layers"),
        ({"downsample_in_bottleneck": 1}, "downsample_in_bottleneck is 1, neither true nor false"),
        ({"id2label": {"0": "a", "5": "b"}}, "id2label is .*, not numbered from 0 on"),
        (
            {"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 1, "b": 0}},
            "label2id is .*, and id2label has 'a' as class 0",
        ),
    ],
    ids=range(7),
)
def test_transformers_configs_that_are_refused(
    tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    config = {"model_type": "resnet", "depths": [2, 2, 2, 2], "layer_type": "basic", **fields}
    torch.save(hugging_face(shapes_of(RESNET18)), tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path)


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["a", "b"], {"a": 0, "b": "1"}),
        (["a", "a"], {"a": 1}),
        (["a", "b"], {"x": 5}),
        (["a", "b"], ["b"]),
    ],
    ids=range(4),
)
def test_numbers_of_names_that_contradict_nothing(
    tmp_path: Path, names: list[str], numbers: object
) -> None:
    config = {"model_type": "resnet", "id2label": names, "label2id": numbers}
    spec = resnet_spec(18, num_classes=2)
    torch.save(hugging_face(shapes_of(spec)), tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert load(tmp_path).labels == tuple(names)


def test_a_config_of_something_else_is_nobodys(tmp_path: Path) -> None:
    hub(tmp_path, {"lr": 0.1, "architecture": {"name": "mine"}, "mean": "x"})
    assert "does not say, so assumed" in load(tmp_path).assumption


def test_a_plain_checkpoint_assumes_its_pictures(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(shapes_of(RESNET18), path)
    made = load(path).preprocess
    assert made.assumed == (
        *("size", "channel_order", "range", "mean", "std"),
        *("resize", "resize_mode", "interpolation"),
    )
    assert made.mean == IMAGENET_MEAN
    assert "size" not in load(path, image_size=224).preprocess.assumed


def test_published_nets_assume_nothing() -> None:
    assert resolve(ModelRequest(), "cifar10").preprocess.assumed == ()
    assert resolve(ModelRequest(depth=8)).preprocess.assumed == ()


FACTORY = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, said):
        super().__init__()
        self.fc = nn.Linear(3, 4)
        if said:
            self.pretrained_cfg = {
                "input_size": (3, 224, 224), "crop_pct": 0.9, "interpolation": "bicubic",
                "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5),
            }
    def forward(self, x):
        return self.fc(x.mean((2, 3)))

def timm_like(): return Net(True)
def silent(): return Net(False)
"""


def test_factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hub_factories.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "hub_factories", raising=False)
    said = resolve(ModelRequest(model="hub_factories:timm_like"))
    assert said.preprocess.sentence == (
        "RGB 0 to 1, shorter side 248 bicubic, centre 224, mean 0.5, std 0.5"
    )
    silent = resolve(ModelRequest(model="hub_factories:silent"))
    assert "mean" in silent.preprocess.assumed
    # The config of a net that only its owner's code builds still tells about pictures and classes.
    folder = tmp_path / "hub"
    folder.mkdir()
    torch.save(silent.module.state_dict(), folder / "model.bin")
    config = changed(architecture="theirs", label_names=list("abcd"), num_classes=4)
    (folder / "config.json").write_text(json.dumps(config))
    loaded = load(folder, model="hub_factories:silent")
    assert loaded.labels == tuple("abcd")
    assert loaded.preprocess.resize == (235, 235)
    assert loaded.preprocess.assumed == ()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), "is a folder without weights in it"),
        (("optimizer.bin", "training_args.bin", "config.json"), "is a folder without weights in"),
        (("a.pth", "b.pth"), r"holds 2 weights files \(a.pth, b.pth\): name one"),
        (tuple(f"{n}.pt" for n in range(9)), r"holds 9 weights files \(0.pt, .*, …\): name one"),
        (
            ("model-00001-of-00002.safetensors", "model.safetensors.index.json"),
            r"model.safetensors.index.json is damaged",
        ),
        (("pytorch_model.bin.index.json",), r"pytorch_model.bin.index.json is damaged"),
    ],
    ids=range(6),
)
def test_folders_without_one_file(tmp_path: Path, files: tuple[str, ...], message: str) -> None:
    for name in files:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path)


def test_one_file_of_any_name(tmp_path: Path) -> None:
    torch.save(shapes_of(RESNET18), tmp_path / "epoch_9.ckpt")
    (tmp_path / "optimizer.pt").write_bytes(b"x")
    assert load(tmp_path).source.file == "epoch_9.ckpt"
    torch.save(shapes_of(resnet_spec(34)), tmp_path / "pytorch_model.bin")
    assert load(tmp_path).spec.depth == 34
