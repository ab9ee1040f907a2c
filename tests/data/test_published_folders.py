"""Folders as they are published: splits of any name, numbers, formats, links, what is left out."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from PIL import Image

from resnet_deploy.data.datasets import Source, open_dataset
from resnet_deploy.data.folder import ImageFolder, image_files, open_folder
from resnet_deploy.errors import DatasetError


@pytest.fixture(autouse=True)
def _warnings(caplog):
    caplog.set_level(logging.WARNING, logger="resnet_deploy")


def _put(root: Path, *names: str, kind: str | None = None) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), "red").save(path, kind)
    return root


def _labels(dataset) -> list[str]:
    return [dataset.classes[dataset.label(i)] for i in range(len(dataset))]


def test_numbers_are_sorted_as_such(tmp_path):
    dataset = open_dataset(_put(tmp_path, *(f"{i}/1.png" for i in range(12))))
    assert dataset.classes == tuple(str(i) for i in range(12))
    assert _labels(dataset)[:4] == ["0", "1", "10", "11"]  # files are in the order of their names


@pytest.mark.parametrize(
    ("train", "test"),
    [("Training", "Testing"), ("TRAIN", "Validation"), ("train", "dev"), ("training", "Eval")],
)
def test_parts_by_their_usual_names(tmp_path, train, test):
    root = _put(tmp_path / "set", f"{train}/a/1.png", f"{train}/b/1.png", f"{test}/a/2.png")
    found = open_dataset(root)
    assert isinstance(found, ImageFolder)
    assert (found.name, *found.files) == (f"set/{test}", "a/2.png")
    assert open_dataset(root, train=True).name == f"set/{train}"


def test_parts_without_class_folders_are_no_classes(tmp_path):
    root = _put(tmp_path / "set", "Training/1.png", "Testing/1.png")
    dataset = open_dataset(root)
    assert (dataset.name, dataset.labelled) == ("set/Testing", False)


def test_a_class_missing_in_the_test_images_shifts_no_other(tmp_path):
    root = _put(tmp_path, "train/a/1.png", "train/b/1.png", "train/c/1.png", "val/a/1.png")
    _put(root, "val/c/1.png")
    dataset = open_dataset(root)
    assert dataset.classes == ("a", "b", "c")
    assert _labels(dataset) == ["a", "c"]


def test_a_folder_with_nothing_but_a_folder_is_looked_through(tmp_path):
    _put(tmp_path, "one/two/cat/1.png", "one/two/dog/1.png", "__MACOSX/cat/1.png")
    (tmp_path / "README.md").touch()
    assert open_dataset(tmp_path).classes == ("cat", "dog")
    _put(tmp_path, "one/two/test/cat/1.png")
    assert open_dataset(tmp_path).name == f"{tmp_path.name}/test"


def test_one_class_is_not_looked_through(tmp_path):
    assert open_dataset(_put(tmp_path, "cat/1.png", "cat/kittens/1.png")).classes == ("cat",)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("1.jfif", "JPEG"),
        ("1.JPE", "JPEG"),
        ("1.jp2", "JPEG2000"),
        ("1.tga", "TGA"),
        ("1.ico", "ICO"),
        ("1.pbm", "PPM"),
        ("1", "JPEG"),
        ("1.img", "WEBP"),
        ("1.bin", "TIFF"),
    ],
)
def test_every_format_that_pillow_reads_counts(tmp_path, name, kind):
    dataset = open_folder(_put(tmp_path, f"cat/{name}", kind=kind))
    assert dataset.files == (f"cat/{name}",)
    assert dataset.image(0).size == (4, 4)


def test_avif_counts_where_pillow_has_it(tmp_path):
    Image.init()
    if "AVIF" not in Image.SAVE:
        pytest.skip("this Pillow has no AVIF")
    assert len(open_dataset(_put(tmp_path, "cat/1.avif"))) == 1


def test_postscript_is_never_started(tmp_path):
    root = _put(tmp_path, "cat/1.png")
    for name in ("a.eps", "b.jpg.bin", "c"):
        (root / "cat" / name).write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    assert len(open_dataset(root)) == 1


def test_what_is_left_out_is_named(tmp_path, caplog):
    root = _put(tmp_path, "cat/1.png", "dog/1.png", "beside.png")
    for name in ("a.txt", "cat/b.xml", "dog/c", "dog/d.dat"):
        (root / name).write_text("P6 is how a PPM begins")
    os.mkfifo(root / "cat" / "pipe.png")
    (root / "empty").mkdir()
    open_dataset(root)
    assert caplog.messages == [
        "1 image lies beside the class folders: beside.png",
        "1 folder holds no image that can be read: empty",
        "5 files are not images that can be read: a.txt, cat/b.xml, cat/pipe.png, …",
    ]
    caplog.clear()
    assert len(image_files(root)) == 3
    assert "5 files are not images that can be read" in caplog.text


def test_a_source_is_opened_and_warned_of_once(tmp_path, caplog):
    _put(tmp_path, "cat/1.png", "dog/1.png")
    (tmp_path / "a.txt").touch()
    source = Source(path=tmp_path)
    assert source.open(train=True) is source.open(train=False)
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("link", ["class/link.png", "linked", "test"])
def test_links_are_followed_when_asked_to(tmp_path, link):
    outside = _put(tmp_path / "outside", "1.png", "x/1.png")
    root = _put(tmp_path / "data", "class/1.png")
    (root / link).symlink_to(outside / "1.png" if link.endswith(".png") else outside)
    with pytest.raises(DatasetError, match="--follow-links"):
        open_dataset(root)
    dataset = open_folder(root, follow_links=True)
    assert any(name.endswith("link.png") or name == "x/1.png" for name in dataset.files) or (
        "linked/1.png" in dataset.files
    )
    dataset.image(len(dataset) - 1)


def test_links_in_a_circle_end(tmp_path):
    root = _put(tmp_path / "data", "cat/1.png", "dog/1.png")
    (root / "cat/loop").symlink_to(root)
    (root / "cat/self").symlink_to("self")
    assert open_dataset(root, follow_links=True).classes == ("cat", "dog")


def test_what_a_link_out_names_is_not_looked_into(tmp_path):
    _put(tmp_path, "outside", kind="PNG")
    root = _put(tmp_path / "data", "cat/1.png")
    (root / "cat/2").symlink_to(tmp_path / "outside")
    assert len(open_dataset(root)) == 1
    assert len(open_dataset(root, follow_links=True)) == 2


def test_linked_folders_inside_are_told(tmp_path, caplog):
    root = _put(tmp_path, "cat/1.png", "dog/1.png")
    (root / "kitten").symlink_to(root / "cat")
    open_dataset(root)
    assert caplog.messages == ["1 linked folder is not entered (--follow-links does): kitten"]


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip", "a.rar"])
def test_packed_archives_are_told_to_be_unpacked(tmp_path, name):
    (tmp_path / name).write_bytes(bytes(600))
    with pytest.raises(DatasetError, match=r"archive.*: unpack it first"):
        open_dataset(tmp_path / name)
    with pytest.raises(DatasetError, match=f"holds archives .*{name}.*unpack them first"):
        open_dataset(tmp_path)


def test_a_folder_of_arrays_is_looked_through_and_its_links_are_checked(tmp_path):
    (tmp_path / "outside.parquet").write_bytes(b"PAR1")
    (tmp_path / "data/inner").mkdir(parents=True)
    (tmp_path / "data/inner/test.parquet").symlink_to(tmp_path / "outside.parquet")
    with pytest.raises(DatasetError, match="--follow-links"):
        open_dataset(tmp_path / "data")
    with pytest.raises(DatasetError, match="damaged parquet"):
        open_dataset(tmp_path / "data", follow_links=True)
