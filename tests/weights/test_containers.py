"""Every way in which weights are kept: the tensors come, whatever lies beside them."""

from __future__ import annotations

import argparse
import collections
import datetime
import enum
import functools
import io
import json
import os
import pickle
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.checkpoint import metadata as dcp
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.state_dict_saver import save as save_distributed

from resnet_deploy.artifact.files import sha256_of
from resnet_deploy.errors import CheckpointError
from resnet_deploy.weights.weights_file import read_weights
from resnet_deploy.weights.weights_folder import digest_of, weights_in
from resnet_deploy.weights.whole_module import ModuleState, notices_of


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 2, 1)
        self.bn1 = nn.BatchNorm2d(2)
        self.layers = nn.Sequential(nn.ReLU(), nn.Linear(2, 2))
        self.register_buffer("passing", torch.ones(1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(self.bn1(self.conv1(x)).mean((2, 3)))
        return out


class Colour(enum.Enum):
    RED = 1


@dataclass
class TrainState:
    state_dict: dict[str, Tensor]
    lr: float


STATE = {key: value.clone() for key, value in Net().state_dict().items()}


def same(found: Any) -> bool:
    return list(found) == list(STATE) and all(torch.equal(found[key], STATE[key]) for key in STATE)


def net() -> Net:
    module = Net()
    module.load_state_dict(STATE)
    return module.eval()


def written(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def beside() -> dict[str, Any]:
    optimizer = torch.optim.Adam(Net().parameters())
    cycle: list[Any] = [1]
    cycle.append(cycle)
    return {
        "float64": np.float64(0.9),
        "array": np.arange(3.0),
        "objects": np.array(["a", None], dtype=object),
        "path": Path("x"),
        "partial": functools.partial(torch.optim.SGD, lr=0.1),
        "defaultdict": collections.defaultdict(list, a=[1]),
        "datetime": datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc),
        "deque": collections.deque([1]),
        "set": {1, 2},
        "size": torch.Size([1, 2]),
        "dtype": torch.float16,
        "device": torch.device("cpu"),
        "namespace": argparse.Namespace(lr=0.1, path=Path("x")),
        "enum": Colour.RED,
        "class": Net,
        "function": os.path.join,
        "optimizer": optimizer,
        "optimizer state": optimizer.state_dict(),
        "loss": nn.CrossEntropyLoss(weight=torch.ones(3)),
        "rng": (torch.get_rng_state(), np.random.get_state()),
        "keys": {torch.float32: 1, Colour.RED: 2, (1, 2): 3},
        "sparse": torch.eye(2).to_sparse(),
        "quantized": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
        "meta": torch.empty(3, device="meta"),
        "cycle": cycle,
    }


@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's, of quantized tensors
@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("legacy", [False, True])
def test_tensors_come_whatever_lies_beside_them(
    legacy: bool, protocol: int, tmp_path: Path
) -> None:
    things = beside()
    if legacy:
        del things["meta"]  # PyTorch writes no such file
    path = tmp_path / "w.pt"
    content = {"before": things, "state_dict": STATE, "after": beside()["optimizer"]}
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    assert same(read_weights(path)["state_dict"])


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_numbers_and_objects_are_plain_data(tmp_path: Path) -> None:
    found = read_weights(written(tmp_path / "w.pt", beside()))
    assert found["float64"] == 0.9
    assert torch.equal(found["array"], torch.arange(3.0, dtype=torch.float64))
    assert (found["size"], found["set"], found["deque"]) == ((1, 2), [1, 2], [1])
    assert found["namespace"]["lr"] == 0.1
    state = read_weights(written(tmp_path / "w.pt", TrainState(STATE, 0.1)))
    assert same(state["state_dict"])


def test_views_share_their_storage_and_no_more(tmp_path: Path) -> None:
    numbers = torch.arange(10.0)
    content = {"part": numbers[2:5], "step": numbers[::2], "turned": numbers.view(2, 5).t()}
    for legacy in (False, True):
        path = written(tmp_path / "w.pt", content, _use_new_zipfile_serialization=not legacy)
        found = read_weights(path)
        assert all(torch.equal(found[key], content[key]) for key in content)


@pytest.mark.parametrize("protocol", range(6))
def test_plain_pickles(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps({key: value.numpy() for key, value in STATE.items()}, protocol))
    assert same(read_weights(path))
    path.write_bytes(pickle.dumps(STATE, protocol))
    assert same(read_weights(path))


def test_a_file_of_python_2(tmp_path: Path) -> None:
    """As PyTorch 0.3 wrote it: every text is bytes, Variables hold tensors."""
    head = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00."
    tensor = (
        b"ctorch._utils\n_rebuild_tensor\n((U\x07storagectorch\nFloatStorage\nU\x07key\xe4123"
        b"U\x06cuda:0K\x02NtQK\x00K\x02\x85K\x01\x85tR"
    )
    variable = b"ctorch.nn.parameter\nParameter\n)\x81(" + tensor + b"\x89}tb"
    body = b"\x80\x02}(U\x04name" + tensor + b"U\x07\xe4.weigh" + variable + b"u."
    keys = b"\x80\x02]U\x07key\xe4123a."
    storage = b"\x02" + bytes(7) + np.array([1, 2], "<f4").tobytes()
    path = tmp_path / "w.pth"
    path.write_bytes(head + body + keys + storage)
    found = read_weights(path)
    assert list(found) == ["name", "\xe4.weigh"]
    assert all(torch.equal(value, torch.tensor([1.0, 2.0])) for value in found.values())


@pytest.mark.parametrize("legacy", [False, True])
def test_a_whole_module_gives_its_state_dict(legacy: bool, tmp_path: Path) -> None:
    path = written(
        tmp_path / "w.pt",
        {"model": net(), "epoch": 3},
        _use_new_zipfile_serialization=not legacy,
    )
    content = read_weights(path)
    assert isinstance(content["model"], ModuleState)
    assert same(content["model"])
    (notice,) = notices_of(path, content, content["model"])
    assert "is a whole pickled model, tests.weights.test_containers.Net" in notice
    assert notices_of(path, content, STATE) == ()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit
def test_torchscript(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    compiled: Any = torch.jit.script(net())
    compiled.save(str(path))
    found = read_weights(path)
    assert {key for key in found if key != "passing"} == set(STATE)
    assert all(torch.equal(found[key], STATE[key]) for key in STATE)
    assert "is a TorchScript archive of tests.weights" in notices_of(path, found, found)[0]
    frozen: Any = torch.jit.freeze(compiled)
    frozen.save(str(path))
    assert "is a frozen TorchScript archive" in refusal(path)


def test_a_module_that_never_ends(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(1, 1))
    for _ in range(40):
        module = nn.Sequential(module, module)
    assert "a module of endless parts" in refusal(written(tmp_path / "w.pt", module))
    holder = nn.Module()
    holder._modules["me"] = holder
    assert "a module that holds itself" in refusal(written(tmp_path / "w.pt", holder))


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled:UserWarning")
def test_distributed_checkpoints(tmp_path: Path) -> None:
    folder = tmp_path / "step"
    content = {"model": STATE, "optimizer": {"exp_avg": torch.ones(2)}, "epoch": 3}
    save_distributed(content, checkpoint_id=folder, no_dist=True)
    path = weights_in(folder)
    found = read_weights(path)
    assert list(found) == ["model"]
    assert found["model"].keys() == STATE.keys()
    assert all(torch.equal(found["model"][key], STATE[key]) for key in STATE)
    before = digest_of(path)
    part = next(folder.glob("*.distcp"))
    assert "is one of several parts" in refusal(part)
    part.write_bytes(part.read_bytes()[:-2000])
    assert digest_of(path) != before
    assert "is damaged or was cut short" in refusal(path)
    listed = path.read_bytes()
    path.unlink()
    with pytest.raises(CheckpointError, match=r"copy its hidden file .metadata"):
        weights_in(folder)
    path.write_bytes(listed)
    part.unlink()
    assert "of which none is beside it" in refusal(path)


def chunked(folder: Path, *chunks: tuple[int, int]) -> Path:
    """A checkpoint of two processes, that hold rows ``(first, end)`` of ``w``, arange(8)."""
    whole = torch.arange(8.0).view(4, 2)
    places, described = {}, []
    for number, (first, end) in enumerate(chunks):
        name, offset = f"__{number}_0.distcp", torch.Size([first, 0])
        torch.save(whole[first:end].clone(), folder / name)
        length = (folder / name).stat().st_size
        places[dcp.MetadataIndex("w", offset, number)] = _StorageInfo(name, 0, length)
        described.append(dcp.ChunkStorageMetadata(offset, torch.Size([end - first, 2])))
    tensor = dcp.TensorStorageMetadata(dcp.TensorProperties(), whole.size(), described)
    content = dcp.Metadata(state_dict_metadata={"w": tensor}, storage_data=places)
    (folder / ".metadata").write_bytes(pickle.dumps(content))
    return folder / ".metadata"


@pytest.mark.parametrize("chunks", [((0, 2), (2, 4)), ((2, 4), (0, 1), (1, 2))])
def test_a_tensor_in_chunks(chunks: tuple[tuple[int, int], ...], tmp_path: Path) -> None:
    found = read_weights(chunked(tmp_path, *chunks))
    assert torch.equal(found["w"], torch.arange(8.0).view(4, 2))


@pytest.mark.parametrize("chunks", [((0, 2),), ((0, 2), (1, 3))])
def test_chunks_that_are_not_the_whole(chunks: tuple[tuple[int, int], ...], tmp_path: Path) -> None:
    assert "not the whole of their tensor" in refusal(chunked(tmp_path, *chunks))


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_shards(kind: str, tmp_path: Path) -> None:
    halves = {"a": list(STATE)[:4], "b": list(STATE)[4:]}
    listed = {key: f"{name}-of.{kind}" for name, keys in halves.items() for key in keys}
    for name, keys in halves.items():
        part = {key: STATE[key] for key in keys}
        file = tmp_path / f"{name}-of.{kind}"
        save_file(part, file) if kind == "safetensors" else torch.save(part, file)
    name = "model" if kind == "safetensors" else "pytorch_model"
    index = tmp_path / f"{name}.{kind}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": listed}))
    assert weights_in(tmp_path) == index
    found = read_weights(index)
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[key], STATE[key]) for key in STATE)
    assert digest_of(index) != sha256_of(index)
    (tmp_path / f"b-of.{kind}").unlink()
    assert f"lists 2 files, of which b-of.{kind} is missing" in refusal(index)
    with pytest.raises(CheckpointError, match="is missing"):
        digest_of(index)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "is damaged"),
        ("{}", "an index without a weight_map"),
        ('{"weight_map": {"a": "../w.safetensors"}}', "names a file that is not beside it"),
        ('{"weight_map": {"a": "/etc/passwd"}}', "names a file that is not beside it"),
        ('{"weight_map": {"a": ".."}}', "names a file that holds no weights"),
        ('{"weight_map": {"a": "x.index.json"}}', "names a file that holds no weights"),
        ('{"weight_map": {"a": 3}}', "names a file that is not beside it"),
        ('{"weight_map": {"a": "w.safetensors"}}', "which does not hold it"),
    ],
)
def test_odd_indexes(text: str, words: str, tmp_path: Path) -> None:
    save_file({"b": torch.ones(1)}, tmp_path / "w.safetensors")
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(text)
    assert words in refusal(path)


@pytest.mark.filterwarnings("ignore")  # quantization warns of its own future
def test_quantized_weights_are_named(tmp_path: Path) -> None:
    quantized = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
    path = written(tmp_path / "w.pt", {"conv1.weight": quantized, "bn1.weight": torch.ones(3)})
    assert "'conv1.weight' is of a quantized net" in refusal(path)
    quantize: Any = torch.ao.quantization.quantize_dynamic
    dynamic = quantize(net(), {nn.Linear}, dtype=torch.qint8)
    assert "is of a quantized net" in refusal(written(path, dynamic.state_dict()))
    assert "holds a quantized net (torch.ao.nn.quantized" in refusal(written(path, dynamic))


def test_fsdps_parts_are_named(tmp_path: Path) -> None:
    path = written(tmp_path / "w.pt", {"layer1._flat_param": torch.ones(3)})
    assert "is one part of a tensor on many devices (FSDP)" in refusal(path)


@pytest.mark.parametrize("legacy", [False, True])
def test_expanded_tensors_pay_for_what_they_claim(legacy: bool, tmp_path: Path) -> None:
    content = {"a": torch.ones(1).expand(1000)}
    path = written(tmp_path / "w.pt", content, _use_new_zipfile_serialization=not legacy)
    assert read_weights(path)["a"].shape == (1000,)
    content = {"a": torch.ones(1).expand(7_000_000_000)}
    written(path, content, _use_new_zipfile_serialization=not legacy)
    assert "far more memory than it holds" in refusal(path)


def test_deflated_archives_pay_too(tmp_path: Path) -> None:
    path, packed = tmp_path / "w.pt", tmp_path / "packed.pt"
    for numbers, fits in ((1000, True), (6_000_000, False)):
        torch.save({"a": torch.zeros(numbers)}, path)
        with (
            zipfile.ZipFile(path) as source,
            zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target,
        ):
            for name in source.namelist():
                target.writestr(name, source.read(name))
        if fits:
            assert read_weights(packed)["a"].shape == (numbers,)
        else:
            assert "far more memory than it holds" in refusal(packed)


def tar_of(*names: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


def zip_of(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return buffer.getvalue()


FOREIGN = {
    "w.pdparams": (pickle.dumps({"a": np.ones(1)}), "is a PaddlePaddle file"),
    "w.pkl": (pickle.dumps({"StructuredToParameterName@@": {}}), "is a PaddlePaddle file"),
    "w.h5": (b"\x89HDF\r\n\x1a\n" + bytes(64), "is an HDF5 file, as Keras writes"),
    "w.keras": (zip_of("metadata.json", "model.weights.h5"), "is a Keras model"),
    "w.tflite": (b"\x1c\0\0\0TFL3" + bytes(64), "is a TensorFlow Lite model"),
    "w.msgpack": (b"\x82\xa6params" + bytes(64), "as Flax writes"),
    "w.npz": (zip_of("a.npy", "b.npy"), "is an archive of NumPy arrays"),
    "w.npy": (b"\x93NUMPY\x01\0" + bytes(64), "is an archive of NumPy arrays"),
    "w.mlmodel": (b"\x08\x04" + bytes(64), "is a Core ML model"),
    "w.engine": (b"ftrt" + bytes(64), "is a TensorRT engine"),
    "w.pb": (b"\x0a\xff\xfe" + bytes(64), "is a TensorFlow graph"),
    "w.pt2": (zip_of("m/archive_format", "m/data/weights/weight_0"), "is an exported program"),
    "w.tar": (tar_of("storages", "tensors", "pickle"), "is a checkpoint of PyTorch 0.1"),
    "other.tar": (tar_of("a.pth"), "is a tar archive: unpack it first"),
    "w.mar": (zip_of("MAR-INF/MANIFEST.json", "w.pth"), "is a TorchServe archive"),
    "w.gz": (b"\x1f\x8b\x08" + bytes(64), "is a gzip archive: unpack it first"),
    "w.zip": (zip_of("w.pth"), "is a zip archive, not a PyTorch checkpoint: unpack it"),
    "page.pth": (b"<!DOCTYPE html><html></html>", "is a web page, not the file itself"),
    "old.pt": (zip_of("m/model.json", "m/tensors/0"), "from before PyTorch 1.4"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_files_are_named(name: str, tmp_path: Path) -> None:
    content, words = FOREIGN[name]
    (tmp_path / name).write_bytes(content)
    assert words in refusal(tmp_path / name)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.pt")
    assert "is not a file" in refusal(tmp_path / "w.pt")


FOLDERS = {
    ("saved_model.pb", "variables/"): "is a TensorFlow SavedModel",
    ("config.json", "flax_model.msgpack"): "holds flax_model.msgpack, a MessagePack file",
    ("config.json", "tf_model.h5"): "holds tf_model.h5, an HDF5 file",
    ("checkpoint-5/model.safetensors", "checkpoint-9/model.safetensors"): (
        "holds no weights, but 2 folders with some (checkpoint-5, checkpoint-9): name one"
    ),
    ("a.pth", "b.pth", "optimizer.pt"): "holds 2 weights files (a.pth, b.pth): name one",
    ("Manifest.json", "Data/"): "is a Core ML package",
    ("zero_pp_rank_0_mp_rank_00_model_states.pt",): "is a checkpoint of DeepSpeed's in parts",
    ("net.xml", "net.bin"): "is a folder without weights in it",
}


@pytest.mark.parametrize("names", FOLDERS)
def test_folders_without_one_weights_file(names: tuple[str, ...], tmp_path: Path) -> None:
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.mkdir() if name.endswith("/") else path.write_bytes(b"x")
    with pytest.raises(CheckpointError) as caught:
        weights_in(tmp_path)
    assert FOLDERS[names] in str(caught.value)


def test_deepspeeds_folder(tmp_path: Path) -> None:
    step = tmp_path / "global_step7"
    step.mkdir()
    (tmp_path / "latest").write_text("global_step7\n")
    written(step / "mp_rank_00_model_states.pt", {"module": STATE})
    (step / "zero_pp_rank_0_mp_rank_00_optim_states.pt").write_bytes(b"x")
    for folder in (tmp_path, step):
        assert same(read_weights(weights_in(folder))["module"])
