"""Nets: whole ones, what lies beside their weights, and a run to go on with.

Long because each kind of file is made here.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import math
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from resnet_deploy.errors import ResnetDeployError
from tests.fuzz.doors.surface import Surface, without

NET: Final = "tests.support.training_nets:with_dropout"


def _whole_nets() -> list[bytes]:
    import torch

    from tests.support.layouts import canonical

    found = []
    for state in (canonical(), canonical(bottleneck=True)):
        stream = io.BytesIO()
        torch.save({key: value.half() for key, value in state.items()}, stream)
        found.append(stream.getvalue())
    return found


def _state_dicts() -> list[bytes]:
    """Return names and shapes of tensors, by the words of several projects."""
    from resnet_deploy.spec import vgg19_spec
    from tests.support.layouts import canonical, preactivated, prefixed, without_head
    from tests.support.states import hugging_face, shapes_of

    whole = canonical()
    deep, wide = canonical(deep=True, avg_down=True), canonical(bottleneck=True, se=True)
    states = [
        *(whole, deep, wide, preactivated(), without_head(whole), shapes_of(vgg19_spec())),
        *(hugging_face(whole), prefixed(whole, "module."), prefixed(wide, "encoder.")),
        {**prefixed(whole, "a."), **prefixed(deep, "b.")},
        {**prefixed(without_head(whole), "backbone."), "head.weight": whole["fc.weight"]},
        {
            **without_head(whole),
            "head.0.weight": whole["fc.weight"],
            "head.0.bias": whole["fc.bias"],
        },
        {key: value for key, value in whole.items() if "bn" not in key},
        {key: value for key, value in whole.items() if "downsample" not in key},
        {**whole, "mean": whole["conv1.weight"][0, :, :1, :1], "loss.weight": whole["fc.weight"]},
    ]
    found = []
    for state in states:
        shapes = {key: list(value.shape) for key, value in state.items()}
        found.append(json.dumps(shapes).encode())
    return found


def _read_state_dict(path: Path) -> object:
    """Tell a net by names and shapes of its tensors, which take no memory here.

    Names with endless numbers or half characters come no further than the file that holds them.
    The number of the names says what its user says of it.
    """
    import torch

    from resnet_deploy.loading.checkpoint import _ENDLESS_NUMBER, _reading
    from resnet_deploy.models.infer import infer_spec, left_open
    from resnet_deploy.spec.model_request import ModelRequest

    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    zero, state = torch.zeros(1), {}
    for key, shape in content.items() if isinstance(content, dict) else ():
        with contextlib.suppress(TypeError, RuntimeError, ValueError, OverflowError):
            if not _ENDLESS_NUMBER.search(key) and math.prod(shape) <= _MOST_VALUES:
                state[key.encode(errors="replace").decode()] = zero.reshape(()).expand(*shape)
    reading = _reading(state, "a.pth")
    found = []
    for request in ({}, _REQUESTS[len(content) % len(_REQUESTS)]):
        with contextlib.suppress(ResnetDeployError):
            asked = ModelRequest(**request)
            spec = infer_spec(reading.state, asked, "a.pth")
            found.append((spec.name, left_open(spec, asked)))
    return found


def _weights_cards() -> list[bytes]:
    from tests.support.cards import full_card

    golden = Path(__file__).parents[2] / "golden"
    old = [path.read_bytes() for path in sorted(golden.glob("weights-card*.json"))]
    return [full_card().to_json().encode(), *old]


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
    bottleneck = {
        **transformers,
        "layer_type": "bottleneck",
        "embedding_size": 64,
        "hidden_act": "relu",
        "downsample_in_first_stage": False,
        "downsample_in_bottleneck": True,
        "id2label": {"0": "LABEL_0", "1": "LABEL_1"},
    }
    older = {
        "architecture": "resnet50.a1_in1k",
        "num_classes": 500,
        "global_pool": "avg",
        "model_args": {"drop_rate": 0.1, "output_stride": 32, "act_layer": "silu"},
        "tag": "a1_in1k",
        "input_size": [3, 224, 224],
        "test_input_size": [3, 288, 288],
        "test_crop_pct": 1.0,
        "crop_mode": "border",
        "mean": 0.5,
        "std": [0.5],
    }
    pooled = {"architecture": "resnext50_32x4d", "global_pool": "max"}
    contents: tuple[Any, ...] = (
        timm,
        transformers,
        bottleneck,
        older,
        pooled,
        {"architecture": "vgg9"},
        {},
        [],
    )
    return [json.dumps(content).encode() for content in contents]


def _load(path: Path) -> object:
    from resnet_deploy import api

    return api.load(str(path))


def _read_weights_card(path: Path) -> object:
    from resnet_deploy.artifact.weights_card import WeightsCard

    card = WeightsCard.from_json(path.read_text(encoding="utf-8", errors="surrogateescape"))
    return card.to_json(), card.overflow


def _read_config(path: Path) -> object:
    from resnet_deploy.loading.config_file import read_config
    from resnet_deploy.loading.hub_config import read_hub_config

    fields = read_config(path)
    if fields is None:
        return None
    found = []
    for model, wanted in ((None, None), (None, 288), ("timm:resnet50", None), ("a:b", 64)):
        with contextlib.suppress(ResnetDeployError):
            found.append(read_hub_config(fields, hugging_face=True, model=model, wanted=wanted))
    return found


def _hub() -> Mapping[str, bytes]:
    """Return a folder as timm publishes it: a small net, what it is, how pictures are prepared."""
    from safetensors.torch import save

    from tests.support.layouts import canonical

    return {
        "model.safetensors": save(canonical()),
        "config.json": _hub_configs()[0],
        "preprocessor_config.json": _preprocessors()[0],
    }


def _hub_configs() -> list[bytes]:
    pictures = {"input_size": [3, 32, 32], "mean": [0.5] * 3, "std": [0.2] * 3, "crop_pct": 0.9}
    named = {"num_classes": 5, "label_names": list("abcde"), "pretrained_cfg": pictures}
    contents = (named, pictures, {"architecture": "resnet18", "pretrained_cfg": pictures})
    return [json.dumps(content).encode() for content in contents]


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
    bit = {
        "crop_size": 32,
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_flip_channel_order": False,
        "do_pad": False,
        "do_resize": True,
        "image_processor_type": "BitImageProcessorFast",
        "resample": 2,
        "rescale_factor": 0.00392156862745098,
        "size": {"shortest_edge": 36},
    }
    squashed = {"size": {"height": 32, "width": 32}, "resample": "bilinear", "image_mean": 0.5}
    mobile = {**bit, "image_processor_type": "MobileViTImageProcessor", "size": 36}
    contents = (convnext, vit, bit, squashed, mobile, {"size": [32, 32]}, {"do_rescale": False})
    return [json.dumps(content).encode() for content in contents]


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

    from resnet_deploy.artifact.claim import Claim
    from resnet_deploy.progress import silent
    from resnet_deploy.training.run import _Run

    request, training = replace(_run_folder()[0], out=path.parent), _training()
    with Claim(path.parent) as claim:
        run = _Run(request=request, training=training, progress=silent, claim=claim)
        run.restore()
    return training.finished, training.steps, [e.images_per_second for e in training.epochs]


def _load_folder(path: Path) -> object:
    return _load(path.parent)


_MOST_VALUES: Final = 10**7
"""Of a tensor: what a file holds more of was paid for before."""

_REQUESTS: Final[tuple[dict[str, Any], ...]] = (
    {"num_classes": 3},
    {"image_size": 64, "variant": "v1"},
    {"depth": 18},
    {"model": "vgg19"},
    {"in_channels": 1},
)


SURFACES: Final = (
    Surface(
        name="nets",
        file="a.pth",
        seeds=_whole_nets,
        read=_load,
        modules=("loading/reading.py",),
    ),
    Surface(
        name="state-dicts",
        file="a.json",
        seeds=_state_dicts,
        read=_read_state_dict,
        modules=("loading/reading.py", "models/infer.py", "models/infer_design.py"),
    ),
    Surface(
        name="weights-cards",
        file="card.json",
        seeds=_weights_cards,
        read=_read_weights_card,
        modules=("artifact/weights_card.py", "artifact/card_json.py"),
        beyond=("preprocess_for",),
    ),
    Surface(
        name="configs",
        file="config.json",
        seeds=_configs,
        read=_read_config,
        modules=("loading/config_file.py", "loading/hub_config.py"),
        beyond=("module_pictures",),
    ),
    Surface(
        name="hub-folders",
        file="config.json",
        beside=lambda: without(_hub(), "config.json"),
        seeds=_hub_configs,
        read=_load_folder,
        modules=("loading/beside.py",),
    ),
    Surface(
        name="preprocessors",
        file="preprocessor_config.json",
        beside=lambda: without(_hub(), "preprocessor_config.json"),
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
        beyond=("save_checkpoint",),
    ),
)
