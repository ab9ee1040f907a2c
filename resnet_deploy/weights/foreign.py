"""Files that are not PyTorch weights: what each is, and how its weights come here."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

WEIGHTS_FILE = "give a .pt, .pth, .th or .safetensors file"

_THEN = "which quantize, verify and bench take"
_TF2ONNX = (
    f"make an ONNX file of it (python -m tf2onnx.convert --{{}} … --output net.onnx), {_THEN}"
)
_FRAMEWORK = f"export the net as ONNX with the framework that wrote it, {_THEN}"
_ORIGINAL = "it was compiled for one runtime: give the PyTorch weights or the ONNX file it is of"
_UNPACK = "unpack it first"

HDF5 = f"an HDF5 file, as Keras writes: {_TF2ONNX.format('keras')}"
SAVED_MODEL = f"a TensorFlow SavedModel: {_TF2ONNX.format('saved-model')}"
KERAS = f"a Keras model: {_TF2ONNX.format('keras')}"
TFLITE = f"a TensorFlow Lite model: {_TF2ONNX.format('tflite')}"
TF_CHECKPOINT = f"a TensorFlow checkpoint: {_TF2ONNX.format('checkpoint')}"
PADDLE = (
    "a PaddlePaddle file: make an ONNX file of it (paddle2onnx --model_dir … --save_file "
    f"net.onnx), {_THEN}"
)
FLAX = (
    "a MessagePack file, as Flax writes: let transformers turn it into PyTorch's "
    "(from_pretrained(folder, from_flax=True).save_pretrained(out)), and give that folder"
)
NUMPY = (
    "an archive of NumPy arrays: name the arrays as the layers of a state dict, and save them with "
    "safetensors.numpy.save_file"
)

_MAGIC = (
    (0, b"\xff\xd8\xff", f"a JPEG image: {WEIGHTS_FILE}"),
    (0, b"\x89PNG", f"a PNG image: {WEIGHTS_FILE}"),
    (0, b"\x89HDF", HDF5),
    (0, b"%PDF", f"a PDF document: {WEIGHTS_FILE}"),
    (0, b"\x1f\x8b", f"a gzip archive: {_UNPACK}"),
    (0, b"\xfd7zXZ", f"an xz archive: {_UNPACK}"),
    (0, b"BZh", f"a bzip2 archive: {_UNPACK}"),
    (0, b"\x28\xb5\x2f\xfd", f"a zstd archive: {_UNPACK}"),
    (0, b"7z\xbc\xaf", f"a 7-Zip archive: {_UNPACK}"),
    (0, b"Rar!", f"a RAR archive: {_UNPACK}"),
    (0, b"\x93NUMPY", NUMPY),
    (0, b"GGUF", f"a GGUF file: {_ORIGINAL}"),
    (4, b"TFL3", TFLITE),
    (4, b"ORTM", f"an ONNX Runtime file (.ort): {_ORIGINAL}"),
    (4, b"ET12", f"an ExecuTorch program: {_ORIGINAL}"),
    (0, b"ftrt", f"a TensorRT engine: {_ORIGINAL}"),
    (0, b"ptrt", f"a TensorRT engine: {_ORIGINAL}"),
    (0, b"version https://git-lfs", "a Git LFS pointer, not the file itself: run git lfs pull"),
    (0, b"<!DOCTYPE html", "a web page, not the file itself: download it again, by its raw link"),
    (0, b"<html", "a web page, not the file itself: download it again, by its raw link"),
)

_SUFFIX = {
    ".h5": HDF5,
    ".hdf5": HDF5,
    ".keras": KERAS,
    ".tflite": TFLITE,
    ".pb": f"a TensorFlow graph: {_TF2ONNX.format('graphdef')}",
    ".index": TF_CHECKPOINT,
    ".meta": TF_CHECKPOINT,
    ".msgpack": FLAX,
    ".pdparams": PADDLE,
    ".pdiparams": PADDLE,
    ".pdmodel": PADDLE,
    ".pdopt": PADDLE,
    ".engine": f"a TensorRT engine: {_ORIGINAL}",
    ".plan": f"a TensorRT engine: {_ORIGINAL}",
    ".trt": f"a TensorRT engine: {_ORIGINAL}",
    ".mlmodel": f"a Core ML model: {_ORIGINAL}",
    ".caffemodel": f"Caffe's weights: {_FRAMEWORK}",
    ".params": f"MXNet's weights: {_FRAMEWORK}",
    ".weights": f"Darknet's weights: {_FRAMEWORK}",
    ".ncnn": f"an ncnn model: {_ORIGINAL}",
    ".mnn": f"an MNN model: {_ORIGINAL}",
    ".xml": f"an OpenVINO model: {_ORIGINAL}",
    ".pte": f"an ExecuTorch program: {_ORIGINAL}",
    ".pt2": "an exported program (torch.export): save exported.state_dict with torch.save",
}

_PADDLE_ENTRY = "StructuredToParameterName@@"
_TORCH_TAR = {b"storages", b"tensors", b"pickle"}
_TAR_BLOCK = 512


def kind_of(path: Path, head: bytes) -> str:
    """Say what the file ``path``, which begins with ``head``, is, and what to do."""
    for place, magic, kind in _MAGIC:
        if head[place:].startswith(magic):
            return f"is {kind}"
    if head[257:262] == b"ustar":
        return f"is {_kind_of_tar(path)}"
    if head[:1] == b"\x08" and _is_onnx(path):
        return (
            f"is an ONNX model, which needs no export (quantize, verify and bench take it): "
            f"{WEIGHTS_FILE}, or quantize this one"
        )
    if (called := _SUFFIX.get(path.suffix.lower())) is not None:
        return f"is {called}"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # a letter may be cut by the end of the head
            return f"is not a checkpoint: {WEIGHTS_FILE}"
    kind = "not a checkpoint" if b"\0" in head else "a text file"
    return f"is {kind}: {WEIGHTS_FILE}"


def kind_of_zip(names: Collection[str]) -> str | None:
    """Say what a zip archive of these entries is; None for PyTorch's and unknown ones."""
    ends = {name.rpartition("/")[2] for name in names}
    if "model.weights.h5" in ends:
        return f"is {KERAS}"
    if ends and all(end.endswith(".npy") for end in ends):
        return f"is {NUMPY}"
    if ends & {"archive_format", "serialized_exported_program.json"}:
        return f"is {_SUFFIX['.pt2']}"
    if "MANIFEST.json" in ends:
        return f"is a TorchServe archive: {_UNPACK}, and give the weights file in it"
    if "model.json" in ends and "data.pkl" not in ends:
        return (
            "is a TorchScript archive from before PyTorch 1.4: load it there, and save "
            "model.state_dict()"
        )
    return None


def kind_of_content(content: Any) -> str | None:
    """Say whose pickle it is, if not PyTorch's."""
    return f"is {PADDLE}" if isinstance(content, dict) and _PADDLE_ENTRY in content else None


def kind_of_folder(names: Collection[str]) -> str | None:
    """Say what a folder with files and folders of these ``names`` is; None if they don't tell."""
    if "saved_model.pb" in names:
        return f"is {SAVED_MODEL}"
    if "Manifest.json" in names and "Data" in names:
        return f"is a Core ML package: {_ORIGINAL}"
    if any(name.endswith(".distcp") for name in names):
        return (
            "holds the parts of a distributed checkpoint (.distcp) without their list: copy its "
            "hidden file .metadata into it"
        )
    if "_METADATA" in names or "_CHECKPOINT_METADATA" in names:
        return f"is an Orbax checkpoint of JAX: {_FRAMEWORK}"
    for name in sorted(names):
        if (kind := _SUFFIX.get(Path(name).suffix.lower())) and not name.endswith(".xml"):
            return f"holds {name}, {kind}"
    return None


def _kind_of_tar(path: Path) -> str:
    if _first_names(path) >= _TORCH_TAR:
        return (
            "a checkpoint of PyTorch 0.1, a tar archive: load it with torch.load(file, "
            "weights_only=False), if you trust it, and save its state dict again"
        )
    return f"a tar archive: {_UNPACK}"


def _first_names(path: Path) -> set[bytes]:
    """Return the first names in a tar archive, as far as headers can be followed.

    Python's own reader takes a minute for some headers of a megabyte.
    """
    names: set[bytes] = set()
    at = 0
    with path.open("rb") as stream:
        for _ in range(8):
            stream.seek(at)
            header = stream.read(_TAR_BLOCK)
            size = re.fullmatch(rb" *([0-7]+)[ \0]*", header[124:136])
            if size is None:
                break
            names.add(header[:100].partition(b"\0")[0])
            at += _TAR_BLOCK - (-int(size[1], 8) // _TAR_BLOCK) * _TAR_BLOCK
    return names


def _is_onnx(path: Path) -> bool:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except (DecodeError, OSError):
        return path.suffix == ".onnx"
    return bool(model.graph.node)
