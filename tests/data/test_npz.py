from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet_deploy.data.datasets import Dataset, open_dataset
from resnet_deploy.errors import DatasetError

RGB = np.random.default_rng(0).integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 1, 0])


def _open(tmp_path: Path, *, train: bool = False, **arrays: Any) -> Dataset:
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    return open_dataset(path, train=train)


@pytest.mark.parametrize(
    "images", [RGB, RGB.transpose(0, 3, 1, 2), RGB.astype(float) / 255, RGB.astype(np.int64)]
)
def test_layouts_and_types(tmp_path, images):
    dataset = _open(tmp_path, images=images, labels=LABELS)
    assert [dataset.label(i) for i in range(5)] == LABELS.tolist()
    for index in range(5):
        assert np.array_equal(np.asarray(dataset.image(index)), RGB[index])


@pytest.mark.parametrize("shape", [(5, 6, 7), (5, 6, 7, 1), (5, 1, 6, 7)])
def test_gray_layouts(tmp_path, shape):
    gray = RGB[..., 0].reshape(shape)
    dataset = _open(tmp_path, x=gray, y=LABELS[:, None])
    assert np.array_equal(np.asarray(dataset.image(3))[..., 2], RGB[3, ..., 0])


def test_alpha_is_kept(tmp_path):
    rgba = np.zeros((1, 2, 2, 4), dtype=np.uint8)
    assert _open(tmp_path, images=rgba).image(0).mode == "RGBA"


def test_splits(tmp_path):
    arrays: dict[str, Any] = {
        "x_train": RGB,
        "y_train": LABELS,
        "x_test": RGB[:2],
        "y_test": LABELS[:2],
    }
    assert len(_open(tmp_path, **arrays)) == 2
    assert len(_open(tmp_path, train=True, **arrays)) == 5


def test_labels_may_be_missing_and_classes_named(tmp_path):
    assert not _open(tmp_path, images=RGB).labelled
    dataset = _open(tmp_path, images=RGB, labels=LABELS, classes=np.array(["a", "b", "c", "d"]))
    assert dataset.classes == ("a", "b", "c", "d")


def test_sklearn_digits(tmp_path):
    from sklearn.datasets import load_digits

    digits = load_digits()
    dataset = _open(
        tmp_path,
        data=digits.data,
        images=digits.images,
        target=digits.target,
        target_names=digits.target_names,
    )
    assert len(dataset) == 1797
    assert dataset.classes == tuple("0123456789")
    assert dataset.label(1796) == digits.target[1796]
    pixels = np.asarray(dataset.image(0))
    assert (pixels.shape, pixels.max()) == ((8, 8, 3), 239)
    assert np.array_equal(pixels[..., 0], np.rint(digits.images[0] * 255 / 16))


def test_fingerprint_changes_with_content_only(tmp_path):
    first = _open(tmp_path, images=RGB, labels=LABELS).fingerprint()
    assert _open(tmp_path, x=RGB, y=LABELS).fingerprint() == first
    changed = RGB.copy()
    changed[0, 0, 0, 0] ^= 1
    assert _open(tmp_path, images=changed, labels=LABELS).fingerprint() != first
    assert _open(tmp_path, images=RGB, labels=LABELS + 1).fingerprint() != first


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": RGB}, "holds pictures: name the arrays 'images' and 'labels'"),
        ({"images": RGB, "labels": LABELS[:3]}, "5 images but 3 labels"),
        ({"images": RGB.reshape(5, -1)}, r"shape \[5, 126\]"),
        ({"images": RGB[:0]}, "holds no images"),
        ({"images": RGB[:, :0]}, r"shape \[5, 0, 7, 3\]"),
        ({"images": (RGB - 127.0) / 64}, "not normalised"),
        ({"images": np.full((1, 2, 2), np.nan)}, "pixels from nan"),
        ({"images": np.full((1, 2, 2), 1e9)}, "pixels from"),
        ({"images": np.full((1, 2, 2), "a")}, "pixels are numbers"),
        ({"images": np.full((1, 2, 2), None)}, "readable .*Python objects"),
        ({"images": RGB, "labels": np.eye(5)}, "one class index per image"),
        ({"images": RGB, "labels": LABELS - 1}, "not a class index"),
        ({"images": RGB, "labels": LABELS + 0.5}, "not a class index"),
        ({"images": RGB, "labels": LABELS * np.nan}, "not a class index"),
        ({"images": RGB, "labels": LABELS, "classes": np.array(["a"])}, "only 1 class names"),
        ({"images": RGB, "labels": LABELS[:0]}, "5 images but 0 labels"),
    ],
)
def test_malformed_arrays(tmp_path, arrays, message):
    with pytest.raises(DatasetError, match=message) as caught:
        _open(tmp_path, **arrays)
    assert "data.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_malformed_archives(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, images=RGB)
    whole = path.read_bytes()
    for data in (whole[:200], whole[:-10], whole.replace(b"NUMPY", b"DUMPY")):
        path.write_bytes(data)
        with pytest.raises(DatasetError, match=r"data\.npz"):
            open_dataset(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", b"no array")
    with pytest.raises(DatasetError, match=r"data\.npz"):
        open_dataset(path)


def _with_header(text: str) -> bytes:
    header = text.encode("latin-1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(64)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '|u1', 'shape': (1,",
        "{[]: 1}",
        "{1: 2, 'a': 3}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (True, 2, 2)}",
        f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({10**30}, 2, 2)}}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 2, 2)}",
        "{'descr': ('|u1',), 'fortran_order': False, 'shape': (2, 2, 2)}",
        "(" * 5000,
    ],
)
@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_headers_that_numpy_stumbles_over(tmp_path, suffix, header):
    path = tmp_path / f"data{suffix}"
    path.write_bytes(_with_header(header))
    if suffix == ".npz":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("images.npy", _with_header(header))
    with pytest.raises(DatasetError, match=rf"data\{suffix}") as caught:
        open_dataset(path)
    assert "\n" not in str(caught.value)


def test_an_archive_is_no_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr("resnet_deploy.data.bombs._SMALL", 1 << 16)
    path = tmp_path / "data.npz"
    np.savez_compressed(path, images=np.zeros((200, 32, 32, 3), np.uint8))
    with pytest.raises(DatasetError, match=r"data\.npz: 'images' unpacks to .* times its size"):
        open_dataset(path)
    noise = np.random.default_rng(0).integers(0, 256, (200, 32, 32, 3), np.uint8)
    np.savez_compressed(path, images=noise)
    assert len(open_dataset(path)) == 200


def test_other_files_are_refused(tmp_path):
    for name, data in (("data.bin", b"\x37\x7a"), ("photo.jpg", b"\xff\xd8\xff"), ("empty", b"")):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(DatasetError, match=rf"{name} is not a dataset"):
            open_dataset(path)


def test_what_would_be_converted_counts_before(tmp_path, monkeypatch):
    monkeypatch.setattr("resnet_deploy.data.bombs._SMALL", 1 << 17)
    np.savez_compressed(tmp_path / "bands.npz", images=np.zeros((20, 32, 32, 5), np.int8))
    with pytest.raises(DatasetError, match=r"bands\.npz unpacks to .* times its size"):
        open_dataset(tmp_path / "bands.npz")


def test_an_archive_does_not_say_how_large_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr("resnet_deploy.data.bombs._SMALL", 1 << 16)
    path = tmp_path / "data.npz"
    np.savez_compressed(path, images=np.zeros((200, 32, 32, 3), np.uint8))
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 20 : at + 24] = struct.pack("<I", 1 << 30)
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"data\.npz: 'images' unpacks to .* times its size"):
        open_dataset(path)


def test_a_large_picture_is_converted_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("resnet_deploy.data.npz._AT_ONCE", 7)
    images = np.random.default_rng(0).random((2, 5, 6, 3))
    np.savez(tmp_path / "data.npz", images=images)
    found = open_dataset(tmp_path / "data.npz")
    assert np.array_equal(np.asarray(found.image(1)), np.rint(images[1] * 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (np.array([b"cat", b"dog"]), ("cat", "dog")),
        (np.array([3, 7]), ("3", "7")),
        (np.array([0.5, 1.5]), "class names of type float64"),
        (np.zeros(1 << 20, "U16"), "has .* bytes, of at most"),
    ],
)
def test_class_names(tmp_path, names, expected):
    images = np.zeros((2, 4, 4), np.uint8)
    np.savez_compressed(tmp_path / "data.npz", images=images, labels=[0, 1], classes=names)
    if isinstance(expected, tuple):
        assert open_dataset(tmp_path / "data.npz").classes == expected
        return
    with pytest.raises(DatasetError, match=expected):
        open_dataset(tmp_path / "data.npz")


@pytest.mark.parametrize("packing", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_packings_that_numpy_does_not_write(tmp_path: Path, packing: int) -> None:
    buffer = io.BytesIO()
    np.save(buffer, RGB)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", packing) as archive:
        archive.writestr("images.npy", buffer.getvalue())
    with pytest.raises(DatasetError, match="'images' is packed otherwise than numpy does"):
        open_dataset(tmp_path / "a.npz")
