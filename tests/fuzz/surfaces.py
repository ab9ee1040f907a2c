"""The doors that files of strangers come in by: for each its seeds, and what reads them.

Long because each kind of file is made here.
"""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image


@dataclass(frozen=True, kw_only=True)
class Surface:
    """A door. ``file`` is the name that an input gets, ``seeds`` gives valid ones.

    ``beside`` are other files in its folder, by name.
    """

    name: str
    file: str
    beside: Mapping[str, bytes] = field(default_factory=dict)
    seeds: Callable[[], list[bytes]]
    read: Callable[[Path], object]


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


def _onnx_files() -> list[bytes]:
    weight = numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1], name="/conv1/Conv"),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    plain = model.SerializeToString()
    model.metadata_props.add(key="names", value="{0: 'a', 1: 'b', 2: 'c', 3: 'd'}")
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", "432")):
        model.graph.initializer[0].external_data.add(key=key, value=value)
    model.graph.initializer[0].ClearField("raw_data")
    return [plain, model.SerializeToString(), _grown().SerializeToString()]


def _grown() -> onnx.ModelProto:
    """Return a graph whose shapes are computed in it."""
    shape = numpy_helper.from_array(np.array([4, 3, 1, 1]), "s")
    fill = numpy_helper.from_array(np.ones(1, np.float32))
    nodes = [
        helper.make_node("ConstantOfShape", ["s"], ["w"], value=fill),
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Shape", ["c"], ["d"]),
        helper.make_node("Resize", ["c", "", "k"], ["u"], mode="nearest"),
        helper.make_node("ReduceMean", ["u"], ["y"], axes=[2, 3], keepdims=0),
    ]
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "k")
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [shape, scales],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def _pictures() -> list[bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 11, 4), np.uint8)
    rgba, rgb = Image.fromarray(pixels), Image.fromarray(pixels[..., :3].copy())
    found = []
    for image, form, options in (
        (rgb, "JPEG", {"exif": b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00"}),
        (rgba, "PNG", {}),
        (rgb.convert("P"), "PNG", {"transparency": 0}),
        (Image.fromarray(pixels[..., 0].astype(np.uint16) * 200), "PNG", {}),
        (rgb.convert("P"), "GIF", {}),
        (rgb, "BMP", {}),
        (rgb, "PPM", {}),
        (rgba, "TIFF", {"compression": "tiff_lzw"}),
        (rgb, "WEBP", {}),
    ):
        stream = io.BytesIO()
        image.save(stream, form, **options)
        found.append(stream.getvalue())
    return found


def _npz() -> list[bytes]:
    images, labels = np.zeros((2, 5, 5, 3), np.uint8), np.array([[0], [1]])
    plain, packed = io.BytesIO(), io.BytesIO()
    np.savez(plain, images=images, labels=labels[:, 0])
    np.savez_compressed(packed, x_test=images / 255.0, y_test=labels)
    return [plain.getvalue(), packed.getvalue()]


def _npy() -> list[bytes]:
    stream = io.BytesIO()
    np.save(stream, np.zeros((2, 3, 5, 5), np.float32))
    return [stream.getvalue()]


def _idx() -> list[bytes]:
    plain = struct.pack(">4B3I", 0, 0, 8, 3, 2, 5, 5) + bytes(50)
    return [plain, gzip.compress(plain)]


def _cifar() -> list[bytes]:
    content = {
        b"data": np.zeros((2, 3072), np.uint8),
        b"labels": [0, 1],
        b"filenames": [b"a.png", b"b.png"],
    }
    return [pickle.dumps(content, protocol) for protocol in (0, 2, 4)]


def _labels() -> list[bytes]:
    return [
        b"cat\ndog\n",
        b"n01440764 tench, Tinca tinca\nn01443537 goldfish\n",
        b'{"0": "cat", "1": "dog"}',
        b'["cat", "dog"]',
        b'{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}',
        b"{0: 'cat', 1: 'dog'}",
        b"id,name\n0,cat\n1,dog\n",
    ]


def _recipes() -> list[bytes]:
    from resnet_deploy import api

    return [api.recipe_text(recipe=name).encode() for name in ("cifar-fast", "transfer")]


def _cards() -> list[bytes]:
    from tests.support.cards import card

    return [card().to_json().encode()]


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


def _manifests() -> list[bytes]:
    manifest = {"tool": {"name": "resnet-deploy", "version": "0"}, "files": {"a.txt": "0" * 64}}
    return [json.dumps(manifest).encode()]


def _benchmarks() -> list[bytes]:
    path = Path(__file__).parents[2] / "bench" / "results" / "resnet34.json"
    return [path.read_bytes()]


def _read_weights(path: Path) -> object:
    from resnet_deploy.loading.wrappers import unwrap
    from resnet_deploy.weights.weights_file import card_of, read_weights

    content = read_weights(path)
    card_of(path, content)
    return unwrap(content)


def _load(path: Path) -> object:
    from resnet_deploy import api

    return api.load(str(path))


def _summarize(path: Path) -> object:
    from resnet_deploy import api
    from resnet_deploy.report import render

    return render(api.summary(path), 100)


def _read_dataset(path: Path) -> object:
    from resnet_deploy.data.datasets import open_dataset
    from resnet_deploy.data.images import to_rgb

    dataset = open_dataset(path)
    dataset.fingerprint()
    if dataset.labelled:
        dataset.label(0)
    return to_rgb(dataset.image(0))


def _read_picture(path: Path) -> object:
    from resnet_deploy.data.images import is_image, read_image, to_rgb

    is_image(path)
    return to_rgb(read_image(path))


def _read_labels(path: Path) -> object:
    from resnet_deploy.data.labels_file import read_labels_file

    return read_labels_file(path)


def _read_recipe(path: Path) -> object:
    from resnet_deploy import api

    return api.recipe_text(recipe=str(path))


def _read_card(path: Path) -> object:
    from resnet_deploy.artifact.card import Card

    return Card.from_json(path.read_text(encoding="utf-8", errors="surrogateescape"))


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


def _read_manifest(path: Path) -> object:
    from resnet_deploy.bundles.manifest import check_folder, listed_files

    check_folder(path.parent, force=True)
    return listed_files(path.parent)


def _read_tuning(path: Path) -> object:
    from resnet_deploy.results import read_tuning

    return read_tuning(path)


def _compare(path: Path) -> object:
    from resnet_deploy import api
    from resnet_deploy.report import render

    return render(api.compare(_BENCHMARK, path), 100)


_BENCHMARK: Final = Path(__file__).parents[2] / "bench" / "results" / "resnet34.json"

SURFACES: Final[Mapping[str, Surface]] = {
    surface.name: surface
    for surface in (
        Surface(name="checkpoints", file="a.pth", seeds=_checkpoints, read=_read_weights),
        Surface(name="nets", file="a.pth", seeds=_whole_nets, read=_load),
        Surface(name="safetensors", file="a.safetensors", seeds=_safetensors, read=_read_weights),
        Surface(
            name="onnx",
            file="a.onnx",
            beside={"weights.bin": bytes(432)},
            seeds=_onnx_files,
            read=_summarize,
        ),
        Surface(name="pictures", file="picture", seeds=_pictures, read=_read_picture),
        Surface(name="npz", file="a.npz", seeds=_npz, read=_read_dataset),
        Surface(name="npy", file="a.npy", seeds=_npy, read=_read_dataset),
        Surface(name="idx", file="a-images-idx3-ubyte", seeds=_idx, read=_read_dataset),
        Surface(name="cifar", file="test_batch", seeds=_cifar, read=_read_dataset),
        Surface(name="labels", file="labels.txt", seeds=_labels, read=_read_labels),
        Surface(name="recipes", file="a.toml", seeds=_recipes, read=_read_recipe),
        Surface(name="cards", file="card.json", seeds=_cards, read=_read_card),
        Surface(
            name="weights-cards", file="card.json", seeds=_weights_cards, read=_read_weights_card
        ),
        Surface(name="configs", file="config.json", seeds=_configs, read=_read_config),
        Surface(name="manifests", file="manifest.json", seeds=_manifests, read=_read_manifest),
        Surface(name="benchmarks", file="old.json", seeds=_benchmarks, read=_compare),
    )
}
"""By name; a new door gets a line here."""
