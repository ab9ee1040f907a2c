from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_deploy.data.preprocess import prepare
from resnet_deploy.errors import DatasetError, SpecError
from resnet_deploy.training.batches import evaluation_batches
from resnet_deploy.training.data import as_bytes, open_training_data
from tests.support.training_images import SPEC, folder, pixels


@pytest.mark.parametrize("memory", [1 << 20, 0], ids=["kept", "on-demand"])
def test_folder_has_both_parts_as_evaluation_sees_them(tmp_path, memory):
    seen = []
    data = open_training_data(
        folder(tmp_path / "set"), SPEC, memory=memory, progress=lambda *now: seen.append(now)
    )
    assert (len(data.train), len(data.test), data.classes) == (6, 3, ("a", "b", "c"))
    assert (data.name, data.train.dataset.name) == ("set", "set/train")
    assert (data.train.kept is None) == (memory == 0)
    assert data.train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.test.name_of(1) == "b/1.png"
    for part in (data.train, data.test):
        for index in range(len(part)):
            expected = prepare(part.original(index), as_bytes(SPEC))
            assert np.array_equal(part.evaluated(index), expected)
    assert seen == ([] if memory == 0 else [("decoding", 6, 9), ("decoding", 9, 9)])


def test_no_test_image_is_trained_on(tmp_path):
    data = open_training_data(folder(tmp_path), SPEC)
    trained = {data.train.evaluated(index).tobytes() for index in range(len(data.train))}
    tested = {data.test.evaluated(index).tobytes() for index in range(len(data.test))}
    assert (len(trained), len(tested)) == (6, 3)
    assert not trained & tested


def test_fingerprint_tells_the_data_not_the_place(tmp_path):
    first = open_training_data(folder(tmp_path / "one"), SPEC)
    moved = open_training_data(folder(tmp_path / "two"), SPEC)
    assert first.fingerprint == moved.fingerprint
    for part in ("train", "test"):
        shutil.copytree(tmp_path / "one", tmp_path / part)
        Image.fromarray(pixels(1)[0]).save(tmp_path / part / part / "a/new.png")
        assert open_training_data(tmp_path / part, SPEC).fingerprint != first.fingerprint


def test_limit_takes_from_every_class(tmp_path):
    data = open_training_data(folder(tmp_path, train=12, test=6), SPEC, limit=3)
    assert (len(data.train), len(data.test)) == (3, 3)
    assert data.train.labels.tolist() == data.test.labels.tolist() == [0, 1, 2]
    assert data.fingerprint != open_training_data(tmp_path, SPEC).fingerprint
    with pytest.raises(SpecError, match="0 images are too few"):
        open_training_data(tmp_path, SPEC, limit=0)


def test_classes_map_by_name_when_the_test_has_fewer(tmp_path):
    shutil.rmtree(folder(tmp_path) / "test/b")
    data = open_training_data(tmp_path, SPEC)
    assert data.test.labels.tolist() == [0, 2]


def test_npz_with_both_parts(tmp_path):
    labels = np.arange(6) % 3
    x_test = pixels(3, 1)
    np.savez(
        tmp_path / "set.npz", x_train=pixels(6), y_train=labels, x_test=x_test, y_test=labels[:3]
    )
    data = open_training_data(tmp_path / "set.npz", SPEC)
    (batch,) = evaluation_batches(data.test, batch_size=4)
    expected = [prepare(Image.fromarray(image), SPEC) for image in x_test]
    assert np.array_equal(batch.images.numpy(), np.stack(expected))
    assert data.train.name_of(4) == "set.npz[4]"


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA", "1"])
def test_images_of_other_modes_are_trained_on_as_they_are_evaluated(tmp_path, mode):
    file = folder(tmp_path) / f"train/a/other.{'tif' if mode == 'CMYK' else 'png'}"
    Image.fromarray(pixels(1)[0]).convert(mode).save(file)
    data = open_training_data(tmp_path, SPEC)
    (index,) = (i for i in range(7) if "other" in data.train.name_of(i))
    expected = prepare(data.train.original(index), as_bytes(SPEC))
    assert np.array_equal(data.train.evaluated(index), expected)


def _no_train(root):
    shutil.rmtree(root / "train")


def _no_test(root):
    shutil.rmtree(root / "test")


def _flat(root):
    shutil.rmtree(root / "test")
    for part in (root / "train").iterdir():
        part.rename(root / part.name)
    (root / "train").rmdir()


def _no_classes(root):
    shutil.rmtree(root)
    root.mkdir()
    Image.fromarray(pixels(1)[0]).save(root / "one.png")


def _one_class(root):
    for name in "bc":
        shutil.rmtree(root / "train" / name)
        shutil.rmtree(root / "test" / name)


def _extra_class(root):
    (root / "test/c").rename(root / "test/d")


def _empty_class(root):
    (root / "train/d").mkdir()


def _corrupt(root: Path) -> None:
    (root / "train/b/1.png").write_bytes((root / "train/b/1.png").read_bytes()[:99])


def _single_npz(root):
    shutil.rmtree(root)
    with root.open("wb") as stream:
        np.savez(stream, images=pixels(3), labels=np.arange(3))


def _unlabelled_npz(root):
    shutil.rmtree(root)
    with root.open("wb") as stream:
        np.savez(stream, x_train=pixels(3), x_test=pixels(2, 1))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shutil.rmtree, "set does not exist"),
        (_no_train, r"holds test/ but no train/ .* DIR/train/<class>/\*\.jpg, and DIR/test/ or"),
        (_no_test, r"holds train/ but no test/ or val/ .* DIR/train/<class>"),
        (_flat, r"set is one set of images: training needs DIR/train/<class>"),
        (_no_classes, r"set is one set of images"),
        (_one_class, r"set/train has images of one class only \('a'\)"),
        (_extra_class, r"set/test has a class 'd' that set/train does not have"),
        (_empty_class, r"train/d holds no images: fill or remove the folder"),
        (_corrupt, r"cannot read image .*train/b/1\.png"),
        (_single_npz, r"the same images for training and for testing"),
        (_unlabelled_npz, r"the images of set have no labels"),
    ],
    ids=lambda value: getattr(value, "__name__", "").strip("_"),
)
def test_what_no_training_can_use_is_one_line(tmp_path, spoil, message):
    root = folder(tmp_path / "set")
    spoil(root)
    with pytest.raises(DatasetError, match=message) as caught:
        open_training_data(root, SPEC)
    assert "\n" not in str(caught.value)


def test_a_damaged_image_that_is_not_kept_is_named_when_it_is_met(tmp_path):
    _corrupt(folder(tmp_path))
    data = open_training_data(tmp_path, SPEC, memory=0)
    with pytest.raises(DatasetError, match=r"cannot read image .*train/b/1\.png"):
        list(evaluation_batches(data.train, batch_size=2))
