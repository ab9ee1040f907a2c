from __future__ import annotations

import shutil
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_deploy.data.arrays import ArrayDataset, array_dataset
from resnet_deploy.data.calibration import calibration_images, synthetic_calibration
from resnet_deploy.data.loader import prepared_batches
from resnet_deploy.data.preprocess import prepare
from resnet_deploy.data.sampling import spread_sample
from resnet_deploy.errors import DatasetError
from resnet_deploy.spec import InputContract
from tests.support.contracts import square

SPEC = square(8)


def _dataset(counts: list[int]) -> ArrayDataset:
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    return array_dataset("test", images, labels)


def test_sample_is_spread_over_the_classes():
    dataset = _dataset([50, 3, 50])
    sample = spread_sample(dataset, 30, seed=0)
    assert len(set(sample)) == 30
    counts = Counter(dataset.label(i) for i in sample)
    assert counts[1] == 3
    assert {counts[0], counts[2]} <= {13, 14}
    assert spread_sample(dataset, 30, seed=0) == sample != spread_sample(dataset, 30, seed=1)
    assert sorted(spread_sample(dataset, 1000, seed=-1)) == list(range(103))


def test_sample_is_the_same_in_every_numpy():
    assert spread_sample(_dataset([4, 4]), 8, seed=0) == (3, 6, 2, 7, 1, 4, 0, 5)


class _Named:
    """Empty images with names, in the order that is given."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.classes = tuple(sorted({name.partition("/")[0] for name in names}))
        self.labelled = len(self.classes) > 1
        self.name = "named"

    def __len__(self) -> int:
        return len(self.names)

    def image(self, index: int) -> Image.Image:
        return Image.new("RGB", (1, 1))

    def label(self, index: int) -> int:
        return self.classes.index(self.names[index].partition("/")[0])

    def fingerprint(self) -> str:
        return ""

    def content(self, index: int) -> str:
        return ""

    def drawn(self, count: int, seed: int = 0) -> list[str]:
        return [self.names[index] for index in spread_sample(self, count, seed)]


CATS, DOGS = ([f"{kind}/{number}.png" for number in range(40)] for kind in ("cat", "dog"))


def test_named_images_are_drawn_by_their_names():
    drawn = _Named(*CATS, *DOGS).drawn(10)
    # Written down: every machine and release takes these.
    assert drawn[:4] == ["dog/39.png", "cat/33.png", "dog/0.png", "cat/0.png"]
    assert Counter(name[:3] for name in drawn) == {"cat": 5, "dog": 5}
    assert _Named(*DOGS[::-1], *CATS).drawn(10) == drawn
    assert _Named(*CATS, *DOGS).drawn(10, seed=1) != drawn
    assert sorted(_Named(*CATS, *DOGS).drawn(100)) == sorted(CATS + DOGS)


def test_a_folder_that_grows_elsewhere_gives_the_same_sample():
    drawn = _Named(*CATS, *DOGS).drawn(10)
    more = [f"dog/new/{number}.png" for number in range(500)]
    grown = _Named(*CATS, *DOGS, *more).drawn(10)
    assert [name for name in grown if name in CATS] == [name for name in drawn if name in CATS]
    assert set(grown) - set(drawn) <= set(more)


def test_a_sample_in_pieces_is_that_of_the_whole(monkeypatch):
    for dataset in (_Named(*CATS, *DOGS, "emu/1.png"), _dataset([50, 3, 50])):
        whole = [spread_sample(dataset, count, seed=2) for count in (1, 9, 60, 200)]
        monkeypatch.setattr("resnet_deploy.data.sampling._CHUNK", 7)
        assert [spread_sample(dataset, count, seed=2) for count in (1, 9, 60, 200)] == whole
        monkeypatch.undo()


def _folder(root: Path, count: int = 6) -> Path:
    for index in range(count):
        for name in ("a", "b"):
            (root / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (10, 9), (index * 20, 0, 0)).save(root / name / f"{index}.png")
    return root


def test_batches_repeat_and_do_not_depend_on_the_place(tmp_path):
    images = calibration_images(
        _folder(tmp_path / "data"),
        SPEC,
        samples=7,
        seed=3,
        batch_size=3,
    )
    batches = list(images)
    assert [batch.shape for batch in batches] == [(3, 3, 8, 8), (3, 3, 8, 8), (1, 3, 8, 8)]
    assert batches[0].dtype == np.float32
    assert (len(images), images.name, images.synthetic) == (7, "data", False)
    shutil.copytree(tmp_path / "data", tmp_path / "elsewhere/data")
    again = calibration_images(tmp_path / "elsewhere/data", SPEC, samples=7, seed=3, batch_size=3)
    for other in (images, again):
        assert all(np.array_equal(x, y) for x, y in zip(batches, other, strict=True))
    assert again.fingerprint() == images.fingerprint()
    other = calibration_images(tmp_path / "data", SPEC, samples=7, seed=4)
    assert other.fingerprint() != images.fingerprint()


def test_training_images_and_unlabelled_folders(tmp_path):
    _folder(tmp_path / "set/train")
    _folder(tmp_path / "set/test", count=1)
    assert calibration_images(tmp_path / "set", SPEC).name == "set/train"
    assert len(calibration_images(tmp_path / "set/train/a", SPEC)) == 6


def test_errors(tmp_path):
    with pytest.raises(DatasetError, match="0 images"):
        calibration_images(_folder(tmp_path), SPEC, samples=0)
    (tmp_path / "a/3.png").write_bytes(b"broken")
    with pytest.raises(DatasetError, match=r"a/3\.png"):
        list(calibration_images(tmp_path, SPEC))


def test_synthetic_calibration():
    images = synthetic_calibration(SPEC, samples=5, seed=1, batch_size=2)
    assert (len(images), images.name, images.synthetic) == (5, "synthetic", True)
    assert [len(batch) for batch in images] == [2, 2, 1]


def test_loader_prepares_once_per_preprocessing():
    dataset = _dataset([5])
    other = square(4)
    batches = list(prepared_batches(dataset, [4, 0, 2], [SPEC, SPEC, other], batch_size=2))
    assert [batch.indices for batch in batches] == [(4, 0), (2,)]
    first, second, third = batches[0].inputs
    assert np.array_equal(first, second)
    assert third.shape == (2, 3, 4, 4)
    assert np.array_equal(first[0], prepare(dataset.image(4), SPEC))


def test_loader_reads_two_batches_ahead_at_most():
    class Counting(ArrayDataset):
        read = 0

        def image(self, index: int) -> Image.Image:
            with lock:
                Counting.read += 1
            return super().image(index)

    lock = threading.Lock()
    dataset = Counting(name="many", images=np.zeros((100, 8, 8), dtype=np.uint8))
    batches = prepared_batches(dataset, range(100), [SPEC], batch_size=5)
    next(batches)
    assert Counting.read <= 10
    batches.close()  # type: ignore[attr-defined]
    assert Counting.read <= 10


def test_cifar10_calibration(cifar10_test):
    images = calibration_images(
        cifar10_test, InputContract.for_size(32), samples=512, batch_size=64
    )
    labels = Counter(images.dataset.label(i) for i in images.indices)
    assert set(labels.values()) <= {51, 52}
    assert [batch.shape for batch in images] == [(64, 3, 32, 32)] * 8


def test_the_content_key_covers_pixels_and_preprocessing(tmp_path):
    images = calibration_images(_folder(tmp_path / "data"), SPEC, samples=7)
    key = images.content_key()
    assert calibration_images(tmp_path / "data", SPEC, samples=7).content_key() == key
    other = square(8, 9)
    assert calibration_images(tmp_path / "data", other, samples=7).content_key() != key
    path = images.dataset.root / images.dataset.files[images.indices[0]]  # type: ignore[attr-defined]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))  # of the same size, so that the fingerprint stays
    changed = calibration_images(tmp_path / "data", SPEC, samples=7)
    assert changed.fingerprint() == images.fingerprint()
    assert changed.content_key() != key
    path.unlink()
    with pytest.raises(DatasetError, match="cannot read image"):
        images.content_key()


def test_what_is_left_after_some_images(tmp_path):
    images = calibration_images(_folder(tmp_path / "data"), SPEC, samples=7, batch_size=3)
    everything = np.concatenate(list(images))
    for done in (0, 2, 3, 7):
        left = images.after(done)
        assert len(left) == 7 - done
        assert np.array_equal(np.concatenate([everything[:0], *left]), everything[done:])
