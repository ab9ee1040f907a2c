from __future__ import annotations

import collections
import io
import os
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from resnet_deploy.artifact.weights_card import WEIGHTS_CARD_KEY
from resnet_deploy.dependencies import INSTALL
from resnet_deploy.errors import CheckpointError, MissingDependencyError
from resnet_deploy.weights.weights_file import CARD_ENTRY, read_weights

STATE = {"conv1.weight": torch.ones(64, 3, 7, 7), "fc.bias": torch.zeros(2)}


class Bomb:
    def __reduce__(self) -> Any:
        return os.system, ("touch bombed",)


def saved(content: Any, *, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def archive(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, data in members.items():
            target.writestr(name.replace("__", "/"), data)
    return buffer.getvalue()


def onnx_file() -> bytes:
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[1] x) => (float[1] y) {y = Relu(x)}'
    return onnx.parser.parse_model(text).SerializeToString()


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize("legacy", [False, True])
def test_both_formats_of_torch(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(saved(collections.OrderedDict(STATE), legacy=legacy))
    assert torch.equal(read_weights(path)["conv1.weight"], STATE["conv1.weight"])


BAD_FILES = {
    "empty": (b"", "is empty"),
    "text": (b"conv1.weight 1 2 3\n", "is a text file"),
    "jpeg": (jpeg(), "is a JPEG image"),
    "noise": (bytes(range(1, 256)), "is not a checkpoint"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(64), "as Keras writes"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\n", "run git lfs pull"),
    "onnx": (onnx_file(), "is an ONNX model"),
    "zip": (archive(**{"a.txt": b"1"}), "is a zip archive, not a PyTorch checkpoint"),
    "torchscript, frozen": (
        archive(**{"m/constants.pkl": b")", "m/data.pkl": b"\x80\x02}."}),
        "is a frozen TorchScript archive",
    ),
    "zip cut short": (saved(STATE)[:2000], "damaged or was cut short"),
    "zip damaged": (archive(**{"m/data.pkl": b"\x80\x02junk"}), "damaged"),
    "legacy cut short": (saved(STATE, legacy=True)[:300], "damaged"),
    "pickle cut short": (b"\x80\x02", "damaged"),
    "code": (
        pickle.dumps(Bomb()),
        "holds code, not only data: posix.system; refused",
    ),
    "code in torch.save": (saved({"a": Bomb()}), "holds code, not only data: posix.system"),
    "safetensors cut short": (b"\xff\0\0\0\0\0\0\0{" + bytes(8), "was cut short"),
    "safetensors damaged": (b"\x08\0\0\0\0\0\0\0{notjson", "is damaged"),
}


@pytest.mark.parametrize(("content", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files_get_one_clear_line(
    content: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_weights(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "bombed").exists()


def test_truncated_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(STATE, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="is damaged"):
        read_weights(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist: check the path"):
        read_weights(tmp_path / "nothing.pth")
    with pytest.raises(CheckpointError, match="is a folder: name the weights file in it"):
        read_weights(tmp_path)


def test_safetensors_package_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(STATE, path)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(MissingDependencyError, match=INSTALL):
        read_weights(path)


def test_the_length_of_a_safetensors_header_may_look_like_a_pickle(tmp_path: Path) -> None:
    path, first = tmp_path / "weights.safetensors", set()
    for length in range(0, 256, 8):
        save_file(STATE, path, metadata={WEIGHTS_CARD_KEY: "1" * length})
        first.add(path.read_bytes()[0])
        assert read_weights(path)[CARD_ENTRY] == "1" * length
    assert 0x80 in first
