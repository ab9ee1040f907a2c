from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from resnet_deploy.data.datasets import open_dataset
from resnet_deploy.data.folder import image_files
from resnet_deploy.errors import DatasetError


def _put(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (number, 0, 0)).save(path.with_suffix(".png"))
        path.with_suffix(".png").rename(path)
    return root


def test_class_folders_are_sorted_and_labels_follow(tmp_path):
    root = _put(tmp_path / "pets", "dog/2.JPG", "dog/1.png", "cat/deep/down/9.webp", "ant/a.tiff")
    (root / "dog" / "notes.txt").write_text("not an image")
    _put(root, ".hidden/1.png", "dog/.2.png", "stray.png")
    dataset = open_dataset(root)
    assert dataset.name == "pets"
    assert dataset.classes == ("ant", "cat", "dog")
    assert [dataset.label(i) for i in range(len(dataset))] == [0, 1, 2, 2]
    assert dataset.labelled
    assert dataset.image(1).getpixel((0, 0)) == (2, 0, 0)


def test_flat_folder_is_unlabelled(tmp_path):
    dataset = open_dataset(_put(tmp_path, "b.png", "a.png"))
    assert (len(dataset), dataset.labelled, dataset.classes) == (2, False, ())
    with pytest.raises(DatasetError, match="no class folders"):
        dataset.label(0)


def test_splits(tmp_path):
    root = _put(tmp_path / "set", "train/a/1.png", "train/b/2.png", "val/a/1.png", "val/b/1.png")
    assert open_dataset(root).name == "set/val"
    assert open_dataset(root, train=True).name == "set/train"
    _put(root, "test/a/1.png")
    assert open_dataset(root).name == "set/test"
    shutil.rmtree(root / "train")
    assert open_dataset(root, train=True).name == "set/val"


def test_training_images_alone_are_not_evaluated(tmp_path):
    root = _put(tmp_path, "train/a/1.png")
    with pytest.raises(DatasetError, match="no test/ or val/"):
        open_dataset(root)


def test_a_class_may_be_called_train(tmp_path):
    dataset = open_dataset(_put(tmp_path, "train/1.png", "plane/1.png"))
    assert dataset.classes == ("plane", "train")


def test_names_that_are_no_unicode(tmp_path):
    odd, other = (_put(tmp_path / name, "cat/1.png", "dog/2.png") for name in ("odd", "other"))
    (odd / "cat" / "1.png").rename(odd / "cat" / "\udcff.png")
    (odd / "dog").rename(odd / "\udcfe")
    dataset = open_dataset(odd)
    assert dataset.classes == ("cat", "\udcfe")
    assert dataset.fingerprint() != open_dataset(other).fingerprint()
    assert dataset.image(0).size == (4, 4)


def test_fingerprint_is_of_names_and_sizes(tmp_path):
    first = open_dataset(_put(tmp_path / "one", "a/1.png", "b/1.png"))
    moved = open_dataset(Path(shutil.copytree(tmp_path / "one", tmp_path / "two")))
    assert first.fingerprint() == moved.fingerprint()
    shutil.copy(tmp_path / "two/a/1.png", tmp_path / "two/a/2.png")
    assert open_dataset(tmp_path / "two").fingerprint() != first.fingerprint()


@pytest.mark.parametrize("link", ["class/link.png", "linked", "test"])
def test_links_out_of_the_folder_are_refused(tmp_path, link):
    outside = _put(tmp_path / "outside", "secret.png", "x/secret.png")
    root = _put(tmp_path / "data", "class/1.png")
    target = outside / "secret.png" if link.endswith(".png") else outside
    (root / link).symlink_to(target)
    with pytest.raises(DatasetError, match="is a link that leads out"):
        open_dataset(root)


def test_links_inside_and_a_linked_root_are_fine(tmp_path):
    root = _put(tmp_path / "data", "class/1.png")
    (root / "class/2.png").symlink_to("1.png")
    (root / "class/loop").symlink_to(root)
    (root / "README").symlink_to("/etc/hostname")
    (tmp_path / "link").symlink_to(root)
    assert len(open_dataset(tmp_path / "link")) == 2


def test_nothing_to_read(tmp_path):
    with pytest.raises(DatasetError, match="holds no images"):
        open_dataset(tmp_path)
    with pytest.raises(DatasetError, match="does not exist"):
        open_dataset(tmp_path / "none")


def test_image_files(tmp_path):
    root = _put(tmp_path, "b.png", "a/2.png", ".hidden.png")
    assert image_files(root) == (root / "a/2.png", root / "b.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"holds no images.*\.jpg"):
        image_files(tmp_path / "empty")


def test_cifar10_as_images(cifar10_test):
    dataset = open_dataset(cifar10_test)
    assert len(dataset) == 5000
    assert dataset.classes[:3] == ("airplane", "automobile", "bird")
    assert [dataset.label(i) for i in (0, 499, 500, 4999)] == [0, 0, 1, 9]
    assert dataset.image(4999).size == (32, 32)
    assert open_dataset(cifar10_test.parent).fingerprint() == dataset.fingerprint()
