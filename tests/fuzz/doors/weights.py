"""Weights: checkpoints of every container, whole nets, hub folders, and a run to go on with."""

from __future__ import annotations

import functools
import io
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.fuzz.doors.surface import Surface


def _state() -> dict[str, Any]:
    from resnet_deploy.models.registry import skeleton
    from resnet_deploy.spec import resnet_spec

    return dict(skeleton(resnet_spec(8)).state_dict())


def _small() -> dict[str, Any]:
    import torch

    return {
        "epoch": 3,
        "arch": "resnet",
        "state_dict": {
            "module.conv1.weight": torch.arange(12.0).reshape(4, 3, 1, 1),
            "module.bn1.weight": torch.ones(4),
            "module.half": torch.ones(3, dtype=torch.float16)[::2],
        },
        "args": {"lr": 0.1, "names": ("a", "b")},
    }


def _checkpoints() -> list[bytes]:
    import torch

    found = []
    for content in (_small(), _small()["state_dict"]):
        for modern in (True, False):
            stream = io.BytesIO()
            torch.save(content, stream, _use_new_zipfile_serialization=modern)
            found.append(stream.getvalue())
    return found


def _whole_nets() -> list[bytes]:
    import torch

    stream = io.BytesIO()
    torch.save({key: value.half() for key, value in _state().items()}, stream)
    return [stream.getvalue()]


def _safetensors() -> list[bytes]:
    from safetensors.torch import save

    state = _small()["state_dict"]
    state = {key: value.contiguous() for key, value in state.items()}
    return [save(state, {"format": "pt"}), save({"a": state["module.bn1.weight"]})]


def _weights_cards() -> list[bytes]:
    from tests.support.cards import full_card

    return [full_card().to_json().encode()]


def _configs() -> list[bytes]:
    timm = {
        "architecture": "resnet18",
        "num_classes": 3,
        "label_names": ["a", "b", "c"],
        "pretrained_cfg": {
            "input_size": [3, 224, 224],
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
            "interpolation": "bicubic",
            "crop_pct": 0.95,
        },
    }
    transformers = {
        "architectures": ["ResNetForImageClassification"],
        "model_type": "resnet",
        "depths": [2, 2, 2, 2],
        "hidden_sizes": [64, 128, 256, 512],
        "layer_type": "basic",
        "id2label": {"0": "a", "1": "b"},
        "num_channels": 3,
    }
    return [json.dumps(content).encode() for content in (timm, transformers)]


def _read_weights(path: Path) -> object:
    from resnet_deploy.loading.wrappers import unwrap
    from resnet_deploy.weights.weights_file import card_of, read_weights

    content = read_weights(path)
    card_of(path, content)
    return unwrap(content)


def _load(path: Path) -> object:
    from resnet_deploy import api

    return api.load(str(path))


def _read_weights_card(path: Path) -> object:
    from resnet_deploy.artifact.weights_card import WeightsCard

    return WeightsCard.from_json(path.read_text(encoding="utf-8", errors="surrogateescape"))


def _read_config(path: Path) -> object:
    from resnet_deploy.loading.config_file import read_config
    from resnet_deploy.loading.hub_config import read_hub_config

    fields = read_config(path)
    if fields is None:
        return None
    return read_hub_config(fields, hugging_face=True, model=None, wanted=None)


NET: Final = "tests.support.training_nets:with_dropout"


def _distributed() -> Mapping[str, bytes]:
    """Return a checkpoint of one process, by its files."""
    from torch.distributed.checkpoint.state_dict_saver import save

    state = {"model": {"conv1.weight": _small()["state_dict"]["module.conv1.weight"]}}
    with tempfile.TemporaryDirectory() as folder:
        save(state, checkpoint_id=folder, no_dist=True)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _without(files: Mapping[str, bytes], name: str) -> Mapping[str, bytes]:
    return {other: content for other, content in files.items() if other != name}


def _shard_lists() -> list[bytes]:
    names = {"a": "model-1.safetensors", "module.bn1.weight": "model-2.safetensors"}
    return [json.dumps({"metadata": {"total_size": 64}, "weight_map": names}).encode()]


def _shards() -> Mapping[str, bytes]:
    whole, one = _safetensors()[:2]
    return {"model-1.safetensors": one, "model-2.safetensors": whole}


def _hub() -> Mapping[str, bytes]:
    """Return a folder as timm publishes it: a small net, what it is, how pictures are prepared."""
    import torch
    from safetensors.torch import save

    state = {key: torch.zeros_like(value) for key, value in _state().items()}
    return {
        "model.safetensors": save({key: value.contiguous() for key, value in state.items()}),
        "config.json": _hub_configs()[0],
        "preprocessor_config.json": _preprocessors()[0],
    }


def _hub_configs() -> list[bytes]:
    pictures = {"input_size": [3, 32, 32], "mean": [0.5] * 3, "std": [0.2] * 3, "crop_pct": 0.9}
    named = {"num_classes": 10, "label_names": list("abcdefghij"), "pretrained_cfg": pictures}
    return [json.dumps(content).encode() for content in (named, pictures)]


def _preprocessors() -> list[bytes]:
    convnext = {
        "crop_pct": 0.875,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_processor_type": "ConvNextImageProcessor",
        "image_std": [0.229, 0.224, 0.225],
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"shortest_edge": 32},
    }
    vit = {
        "crop_size": {"height": 32, "width": 32},
        "do_center_crop": True,
        "feature_extractor_type": "ViTFeatureExtractor",
        "size": 36,
    }
    return [json.dumps(content).encode() for content in (convnext, vit)]


@functools.cache
def _run_folder() -> tuple[Any, bytes]:
    """Return the request of a finished run, and its last checkpoint."""
    from dataclasses import replace

    from resnet_deploy.spec.model_request import ModelRequest
    from tests.support.training_runs import RECIPE, made_up, request, run

    # Kept as long as the process: a door's reads compare the run with its data.
    folder = Path(tempfile.mkdtemp(prefix="fuzz-run-"))
    data = made_up(folder / "made-up.npz", train=9, test=3)
    asked = request(
        data,
        folder / "run",
        model=ModelRequest(model=NET, image_size=16),
        recipe=replace(RECIPE, epochs=1),
    )
    run(asked)
    shutil.rmtree(folder / "run" / "tensorboard", ignore_errors=True)
    return asked, (folder / "run" / "last.pt").read_bytes()


@functools.cache
def _training() -> Any:
    from resnet_deploy.progress import silent
    from resnet_deploy.training.distributed import Crew
    from resnet_deploy.training.preparing import prepare

    return prepare(_run_folder()[0], Crew(), silent)


def _resume(path: Path) -> object:
    """Do what ``train --resume`` does before its first step."""
    from dataclasses import replace

    from resnet_deploy.progress import silent
    from resnet_deploy.training.folder import Claim
    from resnet_deploy.training.run import _Run

    request, training = replace(_run_folder()[0], out=path.parent), _training()
    with Claim(path.parent) as claim:
        run = _Run(request=request, training=training, progress=silent, claim=claim)
        run.restore()
    return training.finished, training.steps, [e.images_per_second for e in training.epochs]


def _load_folder(path: Path) -> object:
    return _load(path.parent)


def _read_list(path: Path) -> object:
    from resnet_deploy.weights.weights_file import read_weights
    from resnet_deploy.weights.weights_folder import weights_in

    return read_weights(weights_in(path.parent))


_PICKLES: Final = (
    "pickles/arguments.py",
    "pickles/bounds.py",
    "pickles/numpy_arrays.py",
    "pickles/stand_ins.py",
    "pickles/unpickler.py",
    "weights/plain.py",
    "weights/tensors.py",
    "weights/torch_files.py",
    "weights/whole_module.py",
)

SURFACES: Final = (
    Surface(
        name="checkpoints",
        file="a.pth",
        seeds=_checkpoints,
        read=_read_weights,
        modules=(*_PICKLES, "weights/foreign.py", "loading/wrappers.py"),
    ),
    Surface(
        name="nets",
        file="a.pth",
        seeds=_whole_nets,
        read=_load,
        modules=("loading/reading.py", "models/infer.py", "models/infer_design.py"),
    ),
    Surface(
        name="safetensors",
        file="a.safetensors",
        seeds=_safetensors,
        read=_read_weights,
        modules=("weights/safetensors_file.py",),
    ),
    Surface(
        name="shards",
        file="model.safetensors.index.json",
        beside=_shards,
        seeds=_shard_lists,
        read=_read_list,
        modules=("weights/shards.py",),
    ),
    Surface(
        name="distributed",
        file=".metadata",
        beside=lambda: _without(_distributed(), ".metadata"),
        seeds=lambda: [_distributed()[".metadata"]],
        read=_read_list,
        modules=("weights/distributed.py",),
    ),
    Surface(
        name="weights-cards",
        file="card.json",
        seeds=_weights_cards,
        read=_read_weights_card,
        modules=("artifact/weights_card.py", "artifact/card_json.py"),
    ),
    Surface(
        name="configs",
        file="config.json",
        seeds=_configs,
        read=_read_config,
        modules=("loading/config_file.py", "loading/hub_config.py"),
    ),
    Surface(
        name="hub-folders",
        file="config.json",
        beside=lambda: _without(_hub(), "config.json"),
        seeds=_hub_configs,
        read=_load_folder,
        modules=("loading/beside.py",),
    ),
    Surface(
        name="preprocessors",
        file="preprocessor_config.json",
        beside=lambda: _without(_hub(), "preprocessor_config.json"),
        seeds=_preprocessors,
        read=_load_folder,
        modules=("loading/preprocessor_config.py",),
    ),
    Surface(
        name="runs",
        file="last.pt",
        seeds=lambda: [_run_folder()[1]],
        read=_resume,
        modules=("training/checkpoint.py",),
    ),
)
