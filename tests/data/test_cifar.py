from __future__ import annotations

import os
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet_deploy.data.cifar import CIFAR10_CLASSES
from resnet_deploy.data.datasets import open_dataset
from resnet_deploy.errors import DatasetError

PIXELS = np.random.default_rng(0).integers(0, 256, (10, 3072), dtype=np.uint8)


def _dump(content: Any, path: Path, protocol: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def _cifar10(root: Path, **options: Any) -> Path:
    for number in range(1, 6):
        batch = {b"data": PIXELS, b"labels": [number] * 10}
        _dump(batch, root / f"data_batch_{number}", **options)
    _dump({b"data": PIXELS, b"labels": list(range(10))}, root / "test_batch", **options)
    names = [f"class {i}".encode() for i in range(10)]
    _dump({b"label_names": names}, root / "batches.meta", **options)
    return root


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_cifar10_folder(tmp_path, protocol):
    root = _cifar10(tmp_path / "cifar-10-batches-py", protocol=protocol)
    dataset = open_dataset(root)
    assert (len(dataset), dataset.name) == (10, "cifar-10-batches-py/test")
    assert dataset.classes[3] == "class 3"
    assert dataset.label(7) == 7
    expected = PIXELS[4].reshape(3, 32, 32).transpose(1, 2, 0)
    assert np.array_equal(np.asarray(dataset.image(4)), expected)
    assert len(open_dataset(root, train=True)) == 50
    assert open_dataset(tmp_path).fingerprint() == dataset.fingerprint()


def test_python_2_pickle_of_the_published_files(tmp_path):
    """The opcodes of the published archive: str keys, and pixels as a protocol 2 string."""
    # Python 2 wrote its str with BINSTRING; Python 3 writes it as a call of _codecs.encode.
    whole = pickle.dumps({b"data": "DATA", b"labels": list(range(10))}, 3)
    array = pickletools.optimize(pickle.dumps(PIXELS, 3))
    text, raw = PIXELS.tobytes(), b"B" + (PIXELS.size).to_bytes(4, "little")
    assert array.count(raw + text) == 1
    python2 = array.replace(raw + text, b"T" + raw[1:] + text).replace(b"C\x01b", b"U\x01b")
    batch = pickletools.optimize(whole).replace(b"\x80\x03", b"\x80\x02")
    batch = batch.replace(b"X\x04\0\0\0DATA", python2[2:-1])
    batch = batch.replace(b"C\x04data", b"U\x04data").replace(b"C\x06labels", b"U\x06labels")
    (tmp_path / "test_batch").write_bytes(batch)
    dataset = open_dataset(tmp_path / "test_batch")
    expected = PIXELS[9].reshape(3, 32, 32).transpose(1, 2, 0)
    assert np.array_equal(np.asarray(dataset.image(9)), expected)
    assert dataset.classes == CIFAR10_CLASSES


def test_fortran_order_and_big_endian_arrays(tmp_path):
    batch = {"data": np.asfortranarray(PIXELS), "labels": np.arange(10, dtype=">i4")}
    dataset = open_dataset(_dump(batch, tmp_path / "batch"))
    assert dataset.label(9) == 9
    expected = PIXELS[2].reshape(3, 32, 32).transpose(1, 2, 0)
    assert np.array_equal(np.asarray(dataset.image(2)), expected)


def test_cifar100(tmp_path):
    for split, count in (("train", 10), ("test", 4)):
        labels = list(range(90, 90 + count))
        batch = {b"data": PIXELS[:count], b"fine_labels": labels, b"coarse_labels": [0] * count}
        _dump(batch, tmp_path / split)
    _dump({b"fine_label_names": [str(i * 2) for i in range(100)]}, tmp_path / "meta")
    dataset = open_dataset(tmp_path)
    assert (len(dataset), len(dataset.classes), dataset.label(3)) == (4, 100, 93)
    assert len(open_dataset(tmp_path, train=True)) == 10


class _Evil:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


@pytest.mark.parametrize(
    "evil",
    [
        _Evil(os.system, "touch harm"),
        _Evil(eval, "open('harm', 'w')"),
        _Evil(getattr, "", "upper"),
        _Evil(bytearray, 10**12),
        _Evil(np.load, "harm"),
        np.array([_Evil(os.mkdir, "harm")], dtype=object),
        np.zeros(3, dtype=[("field", "i4")]),
    ],
)
@pytest.mark.parametrize("protocol", [2, 5])
def test_pickles_with_anything_but_arrays_are_refused(tmp_path, monkeypatch, evil, protocol):
    monkeypatch.chdir(tmp_path)
    batch = {"data": PIXELS, "labels": list(range(10)), "evil": evil}
    path = _dump(batch, tmp_path / "test_batch", protocol)
    with pytest.raises(DatasetError, match=r"test_batch .*refused") as caught:
        open_dataset(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "harm").exists()


def test_codecs_may_only_write_bytes(tmp_path):
    path = tmp_path / "batch"
    path.write_bytes(b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00ax\x03\x00\x00\x00zip\x86R.")
    with pytest.raises(DatasetError):
        open_dataset(path)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"data": PIXELS}, "no data and labels"),
        ({"data": PIXELS, "labels": [0]}, "10 images but 1 labels"),
        ({"data": PIXELS, "labels": np.array(3)}, "no data and labels"),
        ({"data": PIXELS[:, :100], "labels": [0] * 10}, r"shape \[10, 100\]"),
        ({"data": PIXELS.astype(np.int64), "labels": [0] * 10}, "int64"),
        ({"data": PIXELS, "labels": ["cat"] * 10}, "not a class index"),
        ({"data": PIXELS, "labels": ["1"] * 10}, "not a class index"),
        ({"data": PIXELS, "labels": [0.7, 1.2] * 5}, "not a class index"),
        ({"data": PIXELS, "labels": [True, False] * 5}, "not a class index"),
        ({"data": PIXELS, "labels": [2**70] * 10}, "not a class index"),
        ({"data": PIXELS, "labels": np.full(10, 1.2)}, "not a class index"),
        ({"data": PIXELS, "labels": np.zeros((10, 1), np.int64)}, "not a class index"),
        ({"data": PIXELS, "labels": [100] * 10}, "not a class index"),
        ({"data": PIXELS, "labels": [-1] * 10}, "not a class index"),
        ({"data": PIXELS, "labels": [12] * 10}, "only 10 class names"),
        ({"data": PIXELS[:0], "labels": []}, "holds no images"),
        ([1, 2], "whose pickle is a dictionary"),
    ],
)
def test_malformed_batches(tmp_path, batch, message):
    with pytest.raises(DatasetError, match=message):
        open_dataset(_dump(batch, tmp_path / "test_batch"))


def test_truncated_and_missing_batches(tmp_path):
    root = _cifar10(tmp_path)
    data = (root / "test_batch").read_bytes()
    for length in (2, 30, len(data) // 2, len(data) - 1):
        (root / "test_batch").write_bytes(data[:length])
        with pytest.raises(DatasetError, match="test_batch is not a CIFAR batch, or it was cut"):
            open_dataset(root)
    (root / "data_batch_3").unlink()
    with pytest.raises(DatasetError, match="no data_batch_3"):
        open_dataset(root, train=True)
