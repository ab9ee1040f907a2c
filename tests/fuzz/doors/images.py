"""Images and labels: pictures, arrays, tables, and files of names."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from tests.fuzz.doors.surface import Surface


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


def _parquet() -> list[bytes]:
    import pyarrow as pa
    from pyarrow import parquet

    picture = _picture("PNG")
    described = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    found = []
    for table in (
        pa.table(
            {"image": [{"bytes": picture, "path": "a.png"}] * 2, "label": [0, 1]},
            metadata={"huggingface": json.dumps(described)},
        ),
        pa.table({"jpg": [picture], "class": ["cat"]}),
    ):
        stream = io.BytesIO()
        parquet.write_table(table, stream)
        found.append(stream.getvalue())
    return found


def _picture(form: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, form)
    return stream.getvalue()


def _two_pictures() -> Mapping[str, bytes]:
    return {"a/1.png": _picture("PNG"), "a/2.png": _picture("PNG")}


def _image_labels() -> list[bytes]:
    return [
        b"a/1.png cat\na/2.png dog\n",
        b"file,label,split\n1.png,0,train\n2.png,1,test\n",
        b'{"file_name": "a/1.png", "label": "cat"}\n{"file_name": "a/2.png", "label": "dog"}\n',
        b'[{"image": "1.png", "label": 3}]',
        b'{"a/1.png": "cat", "a/2": "dog"}',
        b"image\tbreed\n1\tcollie\n",
    ]


def _read_image_labels(path: Path) -> object:
    from resnet_deploy.data.datasets import open_dataset

    dataset = open_dataset(path.parent, labels_file=path)
    return dataset.fingerprint(), [dataset.label(index) for index in range(len(dataset))]


SURFACES: Final = (
    Surface(
        name="pictures",
        file="picture",
        seeds=_pictures,
        read=_read_picture,
        modules=("data/images.py",),
    ),
    Surface(
        name="npz",
        file="a.npz",
        seeds=_npz,
        read=_read_dataset,
        modules=("data/npz.py", "data/arrays.py"),
    ),
    Surface(name="npy", file="a.npy", seeds=_npy, read=_read_dataset, modules=("data/npy.py",)),
    Surface(
        name="idx",
        file="a-images-idx3-ubyte",
        seeds=_idx,
        read=_read_dataset,
        modules=("data/idx.py",),
    ),
    Surface(
        name="cifar",
        file="test_batch",
        seeds=_cifar,
        read=_read_dataset,
        modules=("data/cifar.py",),
    ),
    Surface(
        name="parquet",
        file="a.parquet",
        seeds=_parquet,
        read=_read_dataset,
        modules=("data/parquet.py",),
    ),
    Surface(
        name="labels",
        file="labels.txt",
        seeds=_labels,
        read=_read_labels,
        modules=("data/labels_file.py",),
    ),
    Surface(
        name="image-labels",
        file="labels.csv",
        beside=_two_pictures,
        seeds=_image_labels,
        read=_read_image_labels,
        modules=("data/image_labels.py",),
    ),
)
