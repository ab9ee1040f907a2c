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
from resnet_deploy.spec import Shortcut, Stem, Variant
from resnet_deploy.spec.model_request import ModelRequest
from tests.fuzz.doors import states
from tests.fuzz.doors.surface import Surface, without
from tests.fuzz.doors.varied import varied

NET: Final = "tests.support.training_nets:with_dropout"


def _whole_nets() -> list[bytes]:
    import torch

    from tests.support.layouts import canonical

    whole = (canonical(bottleneck=True), *states.nets()[:14:3])
    found = []
    for state in (*({k: v.half() for k, v in net.items()} for net in whole), *states.narrow()):
        stream = io.BytesIO()
        torch.save(state, stream)
        found.append(stream.getvalue())
    return found


def _state_dicts() -> list[bytes]:
    """Return names and shapes of tensors, by the words of several projects.

    What each is asked is one of :data:`_REQUESTS`.
    """
    from resnet_deploy.spec import resnet_spec, vgg19_spec
    from tests.support.states import shapes_of

    small, vgg = shapes_of(resnet_spec(8)), shapes_of(vgg19_spec())
    asked = (
        *((state, 0) for state in (*states.nets(), *states.puzzles())),
        *((small, number) for number in range(1, len(_REQUESTS))),
        *((vgg, number) for number in range(4)),
        (shapes_of(resnet_spec(50)), 6),
    )
    return [_shapes(state, number) for state, number in asked]


def _shapes(state: Mapping[str, Any], request: int) -> bytes:
    shapes: dict[str, Any] = {key: list(value.shape) for key, value in state.items()}
    return json.dumps({**shapes, "request": request}).encode()


def _read_state_dict(path: Path) -> object:
    """Tell a net by names and shapes of its tensors, which take no memory here.

    Names with endless numbers or half characters come no further than the file that holds them.
    What its user says of it follows from ``request``, or else from the number of the names.
    """
    import torch

    from resnet_deploy.loading.checkpoint import _ENDLESS_NUMBER, _reading
    from resnet_deploy.models.infer import infer_spec, left_open

    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    zero, state = torch.zeros(1), {}
    for key, shape in content.items() if isinstance(content, dict) else ():
        if not (isinstance(shape, list) and all(type(length) is int for length in shape)):
            continue  # an integer times a text of it is a long text
        with contextlib.suppress(RuntimeError, ValueError, OverflowError, TypeError):
            if not _ENDLESS_NUMBER.search(key) and math.prod(shape) <= _MOST_VALUES:
                state[key.encode(errors="replace").decode()] = zero.reshape(()).expand(shape)
    reading = _reading(state, "a.pth")
    number = content.get("request", len(content)) if isinstance(content, dict) else 0
    asked = _REQUESTS[number % len(_REQUESTS) if type(number) is int else 0]
    spec = infer_spec(reading.state, asked, "a.pth")
    return spec.name, left_open(spec, asked)


def _weights_cards() -> list[bytes]:
    from tests.support.cards import full_card

    golden = Path(__file__).parents[2] / "golden"
    old = [path.read_bytes() for path in sorted(golden.glob("weights-card*.json"))]
    new = full_card().to_json().encode()
    wrong: tuple[dict[str, Any], ...] = (
        {"activation_ranges": {}},
        {"training": {"overflow": "never"}},
        {"model.image_size": 48},
        {"preprocess.format": "uint8-nhwc"},
        {"model.num_classes": 0, "labels": []},
        {"labels": ["a"]},
        {"activation_ranges": {"layer1.0": [1.0, 2.0]}},
        {"licence": "x\n" * 3},
    )
    return [new, *old, *varied(new, *wrong)]


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
    texts = (
        b'{"a": 1' + b"0" * 500 + b"}",
        b'{"a": NaN}',
        b'{"a": 1, "a": 2}',
        b'["\\ud800"]',
        b"\xff",
    )
    return [*(json.dumps(content).encode() for content in contents), *texts, b"[" * 200]


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
    grey = {**pictures, "input_size": [1, 32, 32], "mean": [0.5], "std": [0.2]}
    bottleneck = {"architecture": "resnet50", **named}
    asked = (
        *((named, 0), (pictures, 1), (grey, 0), ({"architecture": "resnet10t", **named}, 0)),
        *(({"architecture": "resnet18", "pretrained_cfg": pictures}, 2), (bottleneck, 2)),
        ({**named, "pretrained_cfg": {**pictures, "mean": [0.5] * 4}}, 1),
        ({"architectures": ["ResNetForImageClassification"], "model_type": "resnet"}, 0),
    )
    found = []
    for content, number in asked:
        text = json.dumps(content).encode()
        found.append(text + b" " * ((number - len(text)) % len(_HUB_OPTIONS)))
    return found


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


def _checkpoints() -> list[bytes]:
    """Return the last checkpoint of the run, and the same with entries of other kinds."""
    import torch

    found = [_run_folder()[1]]
    changes: tuple[dict[str, Any], ...] = (
        {"format": 10**6},
        {"epochs": 3},
        {"best": None},
        {"crew": (1, 2, 3)},
        {"settings": {}},
        {"position": {}},
    )
    for changed in changes:
        content = torch.load(io.BytesIO(found[0]), weights_only=False)
        stream = io.BytesIO()
        torch.save({**content, **changed}, stream)
        found.append(stream.getvalue())
    return found


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
    from resnet_deploy.training.run import Run

    request, training = replace(_run_folder()[0], out=path.parent), _training()
    with Claim(path.parent) as claim:
        run = Run(request=request, training=training, progress=silent, claim=claim)
        run.restore()
    return training.finished, training.steps, [e.images_per_second for e in training.epochs]


def _load_folder(path: Path) -> object:
    return _load(path.parent)


_HUB_OPTIONS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"image_size": 64},
    {"bn_eps": 0.01, "variant": "v1"},
)


def _load_hub(path: Path) -> object:
    """Load a folder as it is, or as its user says; the length of the file chooses."""
    from resnet_deploy import api

    options = _HUB_OPTIONS[path.stat().st_size % len(_HUB_OPTIONS)]
    return api.load(str(path.parent), **options)


def _load_published(path: Path) -> object:
    """Load a file of a published name, and one that was downloaded as such."""
    from resnet_deploy.loading.beside import contract_for, stated_by_release
    from resnet_deploy.loading.releases import published

    stated = stated_by_release(published(path), ModelRequest())
    return contract_for(64, 3, stated, ModelRequest(), path.name), _load(path)


_MOST_VALUES: Final = 10**7
"""Of a tensor: what a file holds more of was paid for before."""

_REQUESTS: Final = (
    ModelRequest(),
    ModelRequest(num_classes=3),
    ModelRequest(image_size=64, variant=Variant.V1),
    ModelRequest(depth=18),
    ModelRequest(model="vgg19"),
    ModelRequest(in_channels=1),
    ModelRequest(model="resnet50"),
    ModelRequest(stem=Stem.CIFAR, shortcut=Shortcut.C),
    ModelRequest(stem=Stem.CIFAR_POOL),
    ModelRequest(stem=Stem.IMAGENET),
    ModelRequest(shortcut=Shortcut.A_END),
    ModelRequest(shortcut=Shortcut.B),
    ModelRequest(plain=True),
    ModelRequest(model="seresnet20"),
    ModelRequest(model="resnext50_32x4d"),
)


SURFACES: Final = (
    Surface(
        name="nets",
        file="resnet18-f37072fd.pth",  # as torchvision calls one of its own
        seeds=_whole_nets,
        read=_load_published,
        modules=("loading/reading.py", "loading/beside.py", "loading/releases.py"),
        beyond=("stated_by_module",),
    ),
    Surface(
        name="state-dicts",
        file="a.json",
        seeds=_state_dicts,
        read=_read_state_dict,
        modules=(
            *("loading/reading.py", "loading/bystanders.py", "loading/computed_weights.py"),
            *("loading/structure.py", "models/heads.py", "models/infer.py"),
            "models/infer_design.py",
        ),
        beyond=("head_module", "forward", "__init__"),
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
        modules=("loading/config_file.py", "loading/hub_config.py", "plain_values.py"),
        beyond=("module_pictures",),
    ),
    Surface(
        name="hub-folders",
        file="config.json",
        beside=lambda: without(_hub(), "config.json"),
        seeds=_hub_configs,
        read=_load_hub,
        modules=("loading/beside.py",),
        beyond=("stated_by_module",),
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
        seeds=_checkpoints,
        read=_resume,
        modules=("training/checkpoint.py",),
        beyond=("save_checkpoint",),
    ),
)
