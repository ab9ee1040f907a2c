"""Images and labels: pictures, arrays, tables, and files of names.

Long because each kind of file is made here.
"""

from __future__ import annotations

import contextlib
import copy
import gzip
import io
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from resnet_deploy.errors import DatasetError
from tests.fuzz.doors.picture import picture
from tests.fuzz.doors.surface import Surface
from tests.fuzz.doors.tables import chunks, tables
from tests.fuzz.doors.tars import packed, tars
from tests.support.picture_files import picture_files

if TYPE_CHECKING:
    from resnet_deploy.data.datasets import Dataset

_TURNED: Final = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"
"""Of EXIF: orientation 6."""

_CHOSEN: Final = 6
"""Pictures that a shard has at most: more than there are row groups in memory."""


def _pictures() -> list[bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 11, 4), np.uint8)
    rgba, rgb = Image.fromarray(pixels), Image.fromarray(pixels[..., :3].copy())
    found = []
    made: tuple[tuple[Image.Image, str, dict[str, Any]], ...] = (
        *(
            (rgb, form, {})
            for form in ("DIB", "ICO", "TGA", "PCX", "SGI", "DDS", "JPEG2000", "MPO")
        ),
        *((rgb.convert("1"), form, {}) for form in ("XBM", "MSP", "PPM")),
        (rgb.convert("CMYK"), "JPEG", {}),
        (rgb.convert("L"), "PNG", {}),
        (rgba.convert("LA"), "PNG", {}),
        (rgb.convert("I"), "TIFF", {}),
        (rgb.convert("F"), "TIFF", {}),
        (Image.fromarray(pixels[..., 0].astype(np.uint16) * 200), "TIFF", {}),
        (rgb, "TIFF", {"compression": "jpeg"}),
        (rgb, "TIFF", {"compression": "tiff_deflate"}),
        (rgb, "GIF", {"save_all": True, "append_images": [rgb]}),
        (rgb, "JPEG", {"exif": b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01" + _TURNED}),
        (rgb, "JPEG", {"exif": b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00"}),
        (rgba, "PNG", {}),
        (rgb.convert("P"), "PNG", {"transparency": 0}),
        (Image.fromarray(pixels[..., 0].astype(np.uint16) * 200), "PNG", {}),
        (rgb.convert("P"), "GIF", {}),
        (rgb, "BMP", {}),
        (rgb, "PPM", {}),
        (rgba, "TIFF", {"compression": "tiff_lzw"}),
        (rgb, "WEBP", {}),
    )
    for image, form, options in made:
        stream = io.BytesIO()
        with contextlib.suppress(KeyError, OSError, ValueError):  # not all are built in everywhere
            image.save(stream, form, **options)
            found.append(stream.getvalue())
    return [*found, *_incomplete()]


def _incomplete() -> list[bytes]:
    """Return pictures of which pixels are missing, or that look so."""
    files = picture_files()
    names = ("black.png", "grey-4-interlaced.png", "bad-rows-8.png", "bad-pass-16.png")
    return [files[name] for name in (*names, "bad-strips-None.tif", "bad-strips-tiff_lzw.tif")]


def _npz() -> list[bytes]:
    images, labels = np.zeros((2, 5, 5, 3), np.uint8), np.array([[0], [1]])
    plain, packed = io.BytesIO(), io.BytesIO()
    np.savez(plain, images=images, labels=labels[:, 0])
    np.savez_compressed(packed, x_test=images / 255.0, y_test=labels)
    found = [plain.getvalue(), packed.getvalue()]
    for arrays in (
        {"x_train": images, "y_train": labels, "x_test": images[..., 0], "y_test": labels + 3},
        {"x": np.moveaxis(images, -1, 1), "y": labels[:, 0] / 1.0, "class_names": ["a", "b"]},
        {"data": np.ones((2, 4, 4, 5), np.float64)},
        {"images": np.full((2, 4, 4, 5), np.nan)},
        {"images": images.astype(np.int32) - 1000},
        {"images": images[:0]},
        {"images": images, "labels": labels[:1, 0]},
        {"images": images, "labels": labels[:, 0], "class_names": ["a"]},
        {"images": images.astype("U1")},
        {"data": np.ones((2, 6, 6, 5), np.float64)},
        {"data": np.full((2, 6, 6, 5), np.nan)},
        {"images": images, "labels": labels[:, 0], "class_names": [b"a", b"b"]},
        {"images": images, "labels": labels[:, 0], "class_names": [0.5, 1.5]},
        {"other": images},
    ):
        stream = io.BytesIO()
        np.savez(stream, **arrays)
        found.append(stream.getvalue())
    large = io.BytesIO()
    np.savez_compressed(large, images=np.zeros((1, 700, 700, 3), np.float32))
    return [*found, large.getvalue(), *_npy()]


def _npy() -> list[bytes]:
    stream = io.BytesIO()
    np.save(stream, np.zeros((2, 3, 5, 5), np.float32))
    return [stream.getvalue()]


def _idx() -> list[bytes]:
    plain = struct.pack(">4B3I", 0, 0, 8, 3, 2, 5, 5) + bytes(50)
    grown = struct.pack(">4B4I", 0, 0, 8, 4, 2, 3, 4, 4) + bytes(96)
    other = struct.pack(">4B1I", 0, 0, 13, 1, 2) + bytes(8)
    return [plain, gzip.compress(plain, mtime=0), grown, other]


def _idx_labels() -> list[bytes]:
    return [struct.pack(">4B1I", 0, 0, 8, 1, 2) + b"\x00\x01"]


def _cifar() -> list[bytes]:
    content = {
        b"data": np.zeros((2, 3072), np.uint8),
        b"labels": [0, 1],
        b"filenames": [b"a.png", b"b.png"],
    }
    fine = {
        "data": content[b"data"],
        "fine_labels": np.array([3, 4]),
        "coarse_labels": [0, np.int64(1)],
    }
    mixed = {"data": [content[b"data"], np.arange(3, dtype=">f4").reshape(3, 1)], "labels": {1, 2}}
    contents = (content, fine, mixed, {b"data": 1}, {**content, b"labels": [0.7, "x"]}, [1])
    return [pickle.dumps(one, protocol) for one in contents for protocol in (2, 4, 5)]


def _cifar_names() -> list[bytes]:
    return [pickle.dumps({b"label_names": [b"cat", b"dog"], b"num_vis": 3072}, 2)]


def _cifar_hundred() -> Mapping[str, bytes]:
    batch = {"data": np.zeros((2, 3072), np.uint8), "fine_labels": [0, 1]}
    return {"cifar-100-python/train": pickle.dumps(batch, 2), "cifar-100-python/test": b"\x80\x02."}


def _labels() -> list[bytes]:
    return [
        b"cat\ndog\n",
        b"n01440764 tench, Tinca tinca\nn01443537 goldfish\n",
        b'{"0": "cat", "1": "dog"}',
        b'["cat", "dog"]',
        b'{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}',
        b"{0: 'cat', 1: 'dog'}",
        b"id,name\n0,cat\n1,dog\n",
        b'[{"id": 1, "name": "dog"}, {"id": 0, "name": "cat"}]',
        b'[{"name": "dog"}, {"name": "cat"}]',
        b'{"cat": 0, "dog": 1}',
        b'{"n01440764": "tench", "n01443537": ["goldfish", 3]}',
        b'{"id2label": {"0": "cat"}}',
        b"0: cat\n1: dog\n",
        b"0 cat\n1 dog\n",
        b"index\twnid\tname\n0\tn01440764\ttench\n",
        b"cat\n\ndog\n",
        b"\xef\xbb\xbfcat\r\ndog\r\n",
        b"1,cat\n0,dog\n",
        b"cat,0\ndog,1\n",
        b"name\ncat\n",
        b"<html>",
        b'[{"title": "cat"}]',
        b"n01440764 1 tench\nn01443537 2 goldfish\n",
        b"n01440764,tench\nn01443537,goldfish\n",
        b"cat,a,b\ndog,a,b\n",
        b'"' + b"a" * 200_000 + b'"\n',
    ]


def _read_dataset(path: Path) -> object:
    from resnet_deploy.data.datasets import NamedDataset, open_dataset
    from resnet_deploy.data.images import to_rgb

    dataset = open_dataset(path)
    dataset.fingerprint()
    with contextlib.suppress(DatasetError):
        dataset.label(len(dataset) - 1)
    _read_elsewhere(dataset)
    if isinstance(dataset, NamedDataset):
        dataset.content(0)
    return to_rgb(dataset.image(0))


def _read_elsewhere(dataset: Dataset) -> None:
    """Read the first pictures as a worker of a cluster does, from what it is sent."""
    from resnet_deploy.data.shards import picture_shards

    chosen = range(min(len(dataset), _CHOSEN))
    for shard in picture_shards(dataset, chosen, batch_size=_CHOSEN, pixels=1, workers=1):
        sent = copy.deepcopy(shard)  # pickled it would be the same, and the watch refuses pickles
        sent.check()
        for place in sent.places:
            with contextlib.suppress(DatasetError):
                sent.dataset.image(place)


def _read_tar(path: Path) -> object:
    """Read an archive, with another one that it is a shard beside, and with labels of a file."""
    from resnet_deploy.data.datasets import open_dataset

    with contextlib.suppress(DatasetError):
        _read_dataset(path.with_name("a-{0..1}.tar"))
    with contextlib.suppress(DatasetError):
        open_dataset(path, train=True, labels_file=path.with_name("labels.csv")).fingerprint()
    return _read_dataset(path)


def _read_picture(path: Path) -> object:
    from resnet_deploy.data.images import is_image, read_image, to_rgb

    is_image(path)
    is_image(path.with_suffix(".png"))
    return to_rgb(read_image(path))


def _read_pages(path: Path) -> object:
    """Read a column chunk as pyarrow does, which calls from a thread that no line is counted in."""
    from resnet_deploy.data.parquet_pages import CheckedColumns
    from resnet_deploy.data.row_groups import readable

    with CheckedColumns(path.open("rb")) as columns, readable(path):
        columns.only_columns(1 << 29, 8)
        size = columns.seek(0, io.SEEK_END)
        columns.seek(0)
        return len(columns.read(size)), columns.tell()


def _read_folder(path: Path) -> object:
    """Read the dataset of the input's folder, of the part for tests and the one for training."""
    from resnet_deploy.data.datasets import open_dataset

    test = open_dataset(path.parent)
    train = open_dataset(path.parent, train=True)
    return [(each.fingerprint(), each.classes, len(each), each.image(0)) for each in (test, train)]


def _read_hundred(path: Path) -> object:
    from resnet_deploy.data.datasets import open_dataset

    dataset = open_dataset(path.parents[1], train=True)
    return dataset.classes, dataset.fingerprint()


def _read_labels(path: Path) -> object:
    from resnet_deploy.data.labels_file import read_labels_file

    table = path.with_name("labels.csv")
    table.write_bytes(path.read_bytes())
    with contextlib.suppress(DatasetError):
        read_labels_file(table)
    return read_labels_file(path)


def _two_pictures() -> Mapping[str, bytes]:
    return {"a/1.png": picture("PNG"), "a/2.png": picture("PNG")}


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
        modules=("data/images.py", "data/missing_pixels.py"),
        beyond=("_libtiff_setters",),
    ),
    Surface(
        name="npz",
        file="a.npz",
        seeds=_npz,
        read=_read_dataset,
        modules=("data/npz.py", "data/npy.py", "data/arrays.py"),
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
        name="idx-folders",
        file="t10k-labels-idx1-ubyte",
        beside=lambda: {
            "t10k-images-idx3-ubyte": _idx()[0],
            "train-images-idx3-ubyte.gz": _idx()[1],
        },
        seeds=_idx_labels,
        read=_read_folder,
        modules=("data/idx.py",),
    ),
    Surface(
        name="cifar-folders",
        file="batches.meta",
        beside=lambda: dict.fromkeys(
            ("test_batch", *(f"data_batch_{number}" for number in range(1, 6))), _cifar()[0]
        ),
        seeds=_cifar_names,
        read=_read_folder,
        modules=("data/cifar.py",),
    ),
    Surface(
        name="cifar-100-folders",
        file="cifar-100-python/meta",
        beside=_cifar_hundred,
        seeds=lambda: [pickle.dumps({b"fine_label_names": [b"cat", b"dog"]}, 2)],
        read=_read_hundred,
        modules=("data/cifar.py",),
    ),
    Surface(
        name="parquet-folders",
        file="data/train-00000-of-00002.parquet",
        beside=lambda: {
            "data/train-00001-of-00002.parquet": tables()[0],
            "data/test-00000-of-00001.parquet": tables()[1],
        },
        seeds=tables,
        read=lambda path: _read_folder(path.parent),
        modules=("data/parquet.py", "data/row_groups.py"),
        beyond=("_pyarrow",),
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
        seeds=tables,
        read=_read_dataset,
        modules=("data/parquet.py", "data/row_groups.py"),
        beyond=("_pyarrow",),
    ),
    Surface(
        name="parquet-pages",
        file="chunk",
        seeds=chunks,
        read=_read_pages,
        modules=("data/parquet_pages.py",),
    ),
    Surface(
        name="tars",
        file="a-0.tar",
        beside=lambda: {
            "a-1.tar": packed({"8.png": picture("PNG"), "8.cls": b"1"}),
            "labels.csv": b"1.png,cat\n2.png,dog\n",
        },
        seeds=tars,
        read=_read_tar,
        modules=("data/tar.py", "data/tar_members.py", "data/archives.py"),
    ),
    Surface(
        name="labels",
        file="labels.txt",
        seeds=_labels,
        read=_read_labels,
        modules=("data/labels_file.py", "plain_values.py"),
        writes=True,
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
