from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from resnet_deploy.data.datasets import open_dataset
from resnet_deploy.errors import DatasetError
from tests.support.world import no_hang

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1, 5, 0], dtype=np.uint8)


def _bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def _write(path: Path, array: np.ndarray) -> Path:
    data = _bytes(array)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_images_and_labels(tmp_path):
    path = _write(tmp_path / "t10k-images-idx3-ubyte", PIXELS)
    _write(tmp_path / "t10k-labels-idx1-ubyte", LABELS)
    dataset = open_dataset(path)
    assert dataset.name == path.name
    assert dataset.classes == ("0", "1", "2", "3", "4", "5")
    assert [dataset.label(i) for i in range(6)] == LABELS.tolist()
    assert np.array_equal(np.asarray(dataset.image(2))[..., 1], PIXELS[2])


@pytest.mark.parametrize("suffixes", [("", ""), (".gz", ".gz"), ("", ".gz"), (".gz", "")])
def test_folder_gzipped_or_not(tmp_path, suffixes):
    for split, count in (("train", 6), ("t10k", 2)):
        _write(tmp_path / f"{split}-images-idx3-ubyte{suffixes[0]}", PIXELS[:count])
        _write(tmp_path / f"{split}-labels-idx1-ubyte{suffixes[1]}", LABELS[:count])
    assert len(open_dataset(tmp_path)) == 2
    train = open_dataset(tmp_path, train=True)
    assert (len(train), train.label(5)) == (6, 0)


def test_other_spellings_and_both_plain_and_gzipped(tmp_path):
    _write(tmp_path / "emnist-test-images.idx3-ubyte", PIXELS)
    _write(tmp_path / "emnist-test-images.idx3-ubyte.gz", PIXELS)
    _write(tmp_path / "emnist-test-labels.idx1-ubyte", LABELS)
    assert open_dataset(tmp_path).labelled


@pytest.mark.parametrize("channels_first", [True, False])
def test_colour_images(tmp_path, channels_first):
    pixels = np.random.default_rng(1).integers(0, 256, (2, 9, 8, 3), dtype=np.uint8)
    stored = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)) if channels_first else pixels
    dataset = open_dataset(_write(tmp_path / "images-idx4-ubyte", stored))
    assert np.array_equal(np.asarray(dataset.image(1)), pixels[1])
    assert not dataset.labelled


def test_training_images_alone_are_not_evaluated(tmp_path):
    _write(tmp_path / "train-images-idx3-ubyte", PIXELS)
    with pytest.raises(DatasetError, match="no test images"):
        open_dataset(tmp_path)


def test_several_candidates(tmp_path):
    for name in ("a-test-images-idx3-ubyte", "b-test-images-idx3-ubyte"):
        _write(tmp_path / name, PIXELS)
    with pytest.raises(DatasetError, match="several IDX image files"):
        open_dataset(tmp_path)


def test_counts_that_differ(tmp_path):
    _write(tmp_path / "t10k-images-idx3-ubyte", PIXELS)
    _write(tmp_path / "t10k-labels-idx1-ubyte", LABELS[:5])
    with pytest.raises(DatasetError, match="6 images but 5 labels"):
        open_dataset(tmp_path)


GOOD = _bytes(PIXELS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\0\0", "not an IDX file"),
        (b"\0\0\x07\x03" + GOOD[4:], "not an IDX file .it starts with 00 00 07 03"),
        (b"\0\0\x08\x09" + GOOD[4:], "not an IDX file"),
        (GOOD[:9], "cut short inside its header"),
        (GOOD[:-1], "is cut short"),
        (GOOD + b"!", "longer than it claims"),
        (_bytes(LABELS), "name the images file, not the labels"),
        (_bytes(PIXELS[:0]), "holds no images"),
        (gzip.compress(GOOD, mtime=0)[:-30], "damaged gzip"),
        (b"\x1f\x8bnot gzip", "damaged gzip"),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 9), "claims"),
        (gzip.compress(struct.pack(">BBBB3I", 0, 0, 8, 3, 9, 9, 9), mtime=0), "is cut short"),
    ],
)
def test_malformed_files(tmp_path, data, message):
    path = tmp_path / "t10k-images-idx3-ubyte"
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=message) as caught:
        open_dataset(path)
    assert path.name in str(caught.value)


def test_a_gzipped_file_is_no_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr("resnet_deploy.data.bombs._SMALL", 1 << 16)
    path = _write(tmp_path / "images-idx3-ubyte.gz", np.zeros((1000, 28, 28), np.uint8))
    with pytest.raises(DatasetError, match=r"ubyte\.gz unpacks to .* times its size"):
        open_dataset(path)
    noise = np.random.default_rng(0).integers(0, 256, (1000, 28, 28), np.uint8)
    assert len(open_dataset(_write(path, noise))) == 1000


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "t10k-images-idx3-ubyte")
    with pytest.raises(DatasetError, match="holds no images"), no_hang():
        open_dataset(tmp_path)


@pytest.mark.parametrize("value", [1e300, np.nan, np.inf, -1, 0.5])
def test_labels_that_no_index_is(tmp_path, value):
    images = _write(tmp_path / "images-idx3-ubyte", PIXELS[:1])
    head = struct.pack(">BBBBI", 0, 0, 0x0E, 1, 1)
    (tmp_path / "labels-idx1-ubyte").write_bytes(head + struct.pack(">d", value))
    with pytest.raises(DatasetError, match="labels that are not a class index"):
        open_dataset(images)


def test_more_images_than_any_dataset_has(tmp_path, monkeypatch):
    monkeypatch.setattr("resnet_deploy.data.arrays._MOST_IMAGES", 5)
    with pytest.raises(DatasetError, match="holds 6 images: 5 are the most"):
        open_dataset(_write(tmp_path / "images-idx3-ubyte", PIXELS))
