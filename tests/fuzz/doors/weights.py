"""Weights: checkpoints in every container."""

from __future__ import annotations

import copy
import io
import json
import pickle
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.fuzz.doors import odd_pickles
from tests.fuzz.doors.surface import Surface, without


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


def _other_weights() -> list[Any]:
    """Return what checkpoints hold besides a plain dict of tensors."""
    from collections import Counter, OrderedDict

    import numpy as np
    import torch

    conv, norm = torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2)
    net = torch.nn.Sequential(OrderedDict(conv=conv, norm=norm, fc=torch.nn.Linear(2, 2)))
    state = net.state_dict()
    parameters = {key: value.detach().clone() for key, value in net.named_parameters()}
    averages = {key: value / 2 for key, value in state.items()}
    return [
        net,
        {"model": net, "ema": net, "epoch": np.int64(3), "loss": np.float32(0.5)},
        {"state_dict": state, "state_dict_ema": averages, "meta": {"CLASSES": ("a", "b")}},
        {"model": state, "ema": {"shadow": parameters, "decay": 0.9}, "classes": ["a", "b"]},
        {"model": state, "ema": {"shadow_params": list(parameters.values()), "decay": 0.9}},
        {"model": state, "ema": {}, "teacher": averages},
        {"student": state, "teacher": averages},
        {"a": state, "b": state},
        {"net": {"conv": dict(conv.named_parameters()), "norm": norm.state_dict(), "fc": {}}},
        {
            "params": {name: dict(part.state_dict()) for name, part in net.named_children()}
            | {"x": {}}
        },
        {"state_dict": {key: value.numpy() for key, value in state.items()}},
        {"conv.weight": np.ones((2, 1, 1, 1), ">f2"), "a": np.array(["x"]), "b": np.bool_(1)},
        {"conv.weight": torch.zeros(2, 1, 1, 1, dtype=torch.float8_e4m3fn), "s": torch.Size((2,))},
        {
            "conv.weight": torch.zeros(2, 1, 1, 1).to_sparse(),
            "c": torch.zeros(1, dtype=torch.cfloat),
        },
        {"conv.weight": torch.nn.Buffer(torch.ones(2, 1, 1, 1)), "n": Counter("aab"), "f": {1, 2}},
        {
            "q": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8),
            "e": [None, 1.5, True],
        },
        {1: torch.ones(2), (1, 2): torch.ones(1), "StructuredToParameterName@@": {}},
        torch.ones(3),
        [torch.ones(2)],
        {},
    ]


def _plain_pickles() -> list[bytes]:
    """Return pickles without PyTorch's containers, old texts and storages among them."""
    import torch

    state = {"conv.weight": torch.ones(2, 1, 1, 1), "long": 2**80, "text": "a\n'\u20ac"}
    return [pickle.dumps(state, protocol) for protocol in (0, 2, 5)]


def _no_checkpoints() -> list[bytes]:
    """Return files of other kinds, which are told by name."""
    import tarfile

    found = [b"\x89HDF\r\n\x1a\n", b"a text", b"\x08\x07\x3a\x02\x0a\x00", b"\x00\x01\x02" * 9]
    for names in (("archive_format",), ("a.npy",), ("MANIFEST.json",), ("x/model.json",)):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for name in names:
                archive.writestr(name, b"{}")
        found.append(stream.getvalue())
    for inside in (["storages", "tensors", "pickle"], ["a.pth"]):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name in inside:
                tar.addfile(tarfile.TarInfo(name))
        found.append(stream.getvalue())
    return found


def _checkpoints() -> list[bytes]:
    import torch

    found = []
    for content in (_small(), _small()["state_dict"]):
        for modern in (True, False):
            stream = io.BytesIO()
            torch.save(content, stream, _use_new_zipfile_serialization=modern)
            found.append(stream.getvalue())
    for content in (*_other_weights(), *odd_pickles.wrapped()):
        stream = io.BytesIO()
        torch.save(content, stream)
        found.append(stream.getvalue())
    odd = (*odd_pickles.archives(found[0]), *odd_pickles.modules(), *odd_pickles.pickles())
    return [*found, *odd, *_plain_pickles(), *_no_checkpoints()]


def _safetensors() -> list[bytes]:
    from safetensors.torch import save

    state = _small()["state_dict"]
    state = {key: value.contiguous() for key, value in state.items()}
    return [save(state, {"format": "pt"}), save({"a": state["module.bn1.weight"]})]


def _read_weights(path: Path) -> object:
    from resnet_deploy.loading.wrappers import unwrap
    from resnet_deploy.weights.weights_file import card_of, read_weights
    from resnet_deploy.weights.whole_module import notices_of

    content = read_weights(path)
    card_of(path, content)
    found = unwrap(content)
    return found, notices_of(path, content, found.state)


def _distributed() -> Mapping[str, bytes]:
    """Return a checkpoint of one process, by its files."""
    from torch.distributed.checkpoint.state_dict_saver import save

    state = {
        "model": {"conv1.weight": _small()["state_dict"]["module.conv1.weight"]},
        "optimizer": {"state": {"x": _small()["state_dict"]["module.bn1.weight"]}},
        "epoch": 3,
    }
    with tempfile.TemporaryDirectory() as folder:
        save(state, checkpoint_id=folder, no_dist=True)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _distributed_lists() -> list[bytes]:
    """Return lists of what the file of the process holds: right ones, in chunks, and wrong ones."""
    whole = pickle.loads(_distributed()[".metadata"])
    whole.storage_meta = None  # a number drawn at random, and the folder's name
    name, twice = "model.conv1.weight", (8, 3, 1, 1)
    index, place = next(entry for entry in whole.storage_data.items() if entry[0].fqn == name)
    half = {"size": twice}
    changes: tuple[tuple[dict[str, Any], dict[tuple[int, ...], dict[str, Any]]], ...] = (
        ({}, {(0, 0, 0, 0): {}}),
        (half, {(0, 0, 0, 0): {}, (4, 0, 0, 0): {}}),
        (half, {(0, 0, 0, 0): {}, (3, 0, 0, 0): {}}),
        (half, {(0, 0, 0, 0): {}, (5, 0, 0, 0): {}}),
        (half, {(0, 0, 0, 0): {}, (4, 0): {}}),
        (half, {(0, 0, 0, 0): {}}),
        ({"size": (-1,)}, {(0, 0, 0, 0): {}}),
        ({}, {(0, 0, 0, 0): {"transform_descriptors": ["zstd"]}}),
        ({}, {(0, 0, 0, 0): {"relative_path": "__1_0.distcp"}}),
        ({}, {(0, 0, 0, 0): {"length": 10**6}}),
        ({}, {(0, 0, 0, 0): {"offset": "0"}}),
    )
    found = []
    for tensor, chunks in changes:
        content = copy.deepcopy(whole)
        for key, value in tensor.items():
            setattr(content.state_dict_metadata[name], key, value)
        del content.storage_data[index]
        for offset, changed in chunks.items():
            own = type(index)(fqn=name, offset=offset)
            content.storage_data[own] = type(place)(**{**vars(place), **changed})
        found.append(pickle.dumps(content, 2))
    inside = copy.deepcopy(whole)
    inside.planner_data["optimizer.state.x"] = ("model", "conv1.weight", "x")
    wrong: list[Any] = [inside, {}, _with(whole, state_dict_metadata=[])]
    wrong.append(_with(whole, storage_data=1))
    for damaged in wrong:
        found.append(pickle.dumps(damaged, 2))
    return found


def _with(content: Any, **changed: Any) -> Any:
    result = copy.copy(content)
    vars(result).update(changed)
    return result


def _shard_lists() -> list[bytes]:
    names = {"a": "model-1.safetensors", "module.bn1.weight": "model-2.safetensors"}
    return [json.dumps({"metadata": {"total_size": 64}, "weight_map": names}).encode()]


def _shards() -> Mapping[str, bytes]:
    whole, one = _safetensors()[:2]
    return {"model-1.safetensors": one, "model-2.safetensors": whole}


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
        beyond=("kind_of_folder",),
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
        beside=lambda: without(_distributed(), ".metadata"),
        seeds=_distributed_lists,
        read=_read_list,
        modules=("weights/distributed.py",),
    ),
)
