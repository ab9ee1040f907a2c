"""Labels of images in a file beside them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from PIL import Image

from resnet_deploy.data.datasets import open_dataset
from resnet_deploy.data.folder import open_folder
from resnet_deploy.errors import DatasetError


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    root = tmp_path / "flat"
    root.mkdir()
    for index in range(4):
        Image.new("RGB", (4, 4), (index, 0, 0)).save(root / f"{index}.png")
    return root


@pytest.fixture(autouse=True)
def _warnings(caplog):
    caplog.set_level(logging.WARNING, logger="resnet_deploy")


def _labels(dataset) -> list[str]:
    return [dataset.classes[dataset.label(i)] for i in range(len(dataset))]


TEXTS = {
    "val.txt": "0.png 3\n1.png 12\n2.png 3\n3.png 0\n",
    "labels.csv": "image_id,label\n0.png,3\n1,12\n2,3\n./3.png,0\n",
    "metadata.csv": "file_name,other,label\n0.png,,3\n1.png,,12\n2.png,,3\n3.png,,0\n",
    "metadata.jsonl": "".join(
        f'{{"file_name": "{i}.png", "label": {label}}}\n' for i, label in enumerate((3, 12, 3, 0))
    ),
    "anything.csv": "0.png,3\n1.png,12\n2.png,3\n3.png,0\n",
    "test.csv": "filename;class\n0.png;3\n1.png;12\n2.png;3\n3.png;0\n",
    "train_labels.csv": "\ufeffid,breed\r\n0,3\r\n1,12\r\n2,3\r\n3,0\r\n",
}


@pytest.mark.parametrize("name", TEXTS)
def test_labels_are_found_beside_the_images(flat, name, caplog):
    (flat / name).write_text(TEXTS[name], encoding="utf-8")
    dataset = open_dataset(flat)
    assert dataset.classes == ("0", "3", "12")
    assert _labels(dataset) == ["3", "12", "3", "0"]
    assert caplog.messages == [f"labels are read from {name}"]
    # A fingerprint that knew only names and sizes would call other labels the same data.
    before = dataset.fingerprint()
    (flat / name).write_text(TEXTS[name].replace("12", "11"), encoding="utf-8")
    assert open_dataset(flat).fingerprint() != before


@pytest.mark.parametrize(
    "text",
    [
        *TEXTS.values(),
        '{"0.png": 3, "1.png": 12, "2.png": "3", "3.png": 0}',
        '[{"image": "0.png", "class": 3}, {"image": "1.png", "class": 12},'
        ' {"image": "2.png", "class": 3}, {"image": "3.png", "class": 0}]',
        "flat/0.png\t3\nflat/1.png\t12\nflat\\2.png\t3\nflat/3.png\t0\n",
        "path,label,split\n0.png,3,test\n1.png,12,test\n2.png,3,val\n3.png,0,test\n2.png,3,TEST",
    ],
)
def test_labels_are_read_from_a_file_that_is_named(flat, tmp_path, text):
    (tmp_path / "any").write_text(text, encoding="utf-8")
    dataset = open_dataset(flat, labels_file=tmp_path / "any")
    assert _labels(dataset) == ["3", "12", "3", "0"]


def test_rows_of_the_other_part_are_left_out(flat, tmp_path, caplog):
    path = tmp_path / "all.csv"
    path.write_text("path,label,split\n0.png,a,train\n1.png,b,train\n2.png,a,test\n3.png,b,test\n")
    assert open_folder(flat, labels_file=path).files == ("2.png", "3.png")
    assert open_folder(flat, labels_file=path, train=True).files == ("0.png", "1.png")
    assert caplog.messages[0] == "2 images are not in all.csv: 0.png, 1.png"


def test_one_of_several_files_is_taken_and_the_others_are_named(flat, caplog):
    for name in ("val.txt", "labels.csv", "metadata.csv"):
        (flat / name).write_text(TEXTS[name])
    open_dataset(flat)
    assert caplog.messages[0] == (
        "labels are read from metadata.csv; not from labels.csv, val.txt (--labels-file FILE)"
    )


def test_class_folders_need_no_file(tmp_path, flat):
    for name in ("cat", "dog"):
        (tmp_path / "set" / name).mkdir(parents=True)
        (flat / "0.png").rename(tmp_path / "set" / name / "0.png")
        (flat / "1.png").rename(flat / "0.png") if name == "cat" else None
    (tmp_path / "set/labels.csv").write_text("file,label\ncat/0.png,wrong\n")
    assert open_dataset(tmp_path / "set").classes == ("cat", "dog")


def test_a_folder_of_images_beside_their_labels(flat):
    root = flat.parent
    (root / "labels.csv").write_text(TEXTS["labels.csv"])
    assert open_dataset(root).classes == ("0", "3", "12")


def test_labels_of_a_part_lie_in_it_or_beside_it(tmp_path, flat):
    root = tmp_path / "set"
    for part in ("train", "val"):
        (root / part).mkdir(parents=True)
        for image in flat.iterdir():
            (root / part / image.name).write_bytes(image.read_bytes())
    (root / "val.txt").write_text(TEXTS["val.txt"])
    (root / "train/metadata.csv").write_text(TEXTS["metadata.csv"].replace("12", "13"))
    assert open_dataset(root).classes == ("0", "3", "12")
    assert open_dataset(root, train=True).classes == ("0", "3", "13")
    assert open_dataset(root, labels_file=root / "val.txt").name == "set/val"


def test_rows_and_images_without_each_other_are_counted(flat, caplog):
    (flat / "val.txt").write_text("0.png cat\n1.png dog\ngone.png cat\n")
    assert _labels(open_dataset(flat)) == ["cat", "dog"]
    assert caplog.messages[:2] == [
        "1 row of val.txt without an image: gone.png",
        "2 images are not in val.txt: 2.png, 3.png",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("../0.png 1\n", r"names '\.\./0\.png', which leads out"),
        ("a/../../0.png 1\n", "leads out"),
        ("/etc/passwd 1\n", "leads out"),
        ("C:/0.png 1\n", "leads out"),
        ("..\\0.png 1\n", "leads out"),
        ("0.png 1\n0.png 2\n", "the labels '1' and '2': keep one"),
        ("a.png 1\nb.png 2\n", "names no image in .* begins with 'a.png', the folder with '0.png'"),
        ("3\n4\n", "the line '3': give an image and its label a line"),
        ("a,b,c\n1,2,3\n", "has the columns a, b, c: call those"),
        ("file,label,x\n0.png,1\n", "row 2 has not 3 columns"),
        ("file,label,label\n0.png,1,2\n", "has two columns 'label': keep one"),
        ("", "is empty"),
        ("{", "not JSON that can be read"),
        ("[1, 2]", "no objects with file_name and label"),
        ('{"0.png": [1, 2]}', r"a label '\[1, 2\]'"),
        ('[{"file_name": "0.png"}]', "without file_name or label"),
        ("x" * 200_000 + ",1\n", "not a CSV that can be read"),
        ('file,label\n"a\n0.png",-1\n', r"gives a\\n0\.png the label -1"),
    ],
)
def test_bad_files_are_refused_in_one_line(flat, tmp_path, text, message):
    path = tmp_path / "bad.txt"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message) as caught:
        open_dataset(flat, labels_file=path)
    assert "\n" not in str(caught.value)


def test_a_name_that_fits_two_images_is_refused(flat, tmp_path):
    (flat / "deep").mkdir()
    (flat / "0.png").rename(flat / "deep/1.png")
    path = tmp_path / "labels.csv"
    path.write_text("file,label\n1,a\n2,b\n")
    with pytest.raises(DatasetError, match=r"can be 1\.png or deep/1\.png"):
        open_dataset(flat, labels_file=path)


def test_files_that_are_no_text(flat, tmp_path):
    for path, message in (
        (flat / "0.png", "not UTF-8 text"),
        (tmp_path, "it is not a file"),
        (tmp_path / "gone", "it does not exist"),
    ):
        with pytest.raises(DatasetError, match=message):
            open_dataset(flat, labels_file=path)


def test_a_file_that_is_found_and_tells_nothing_is_named(flat, caplog):
    (flat / "labels.txt").write_text("cat\ndog\n")
    assert not open_dataset(flat).labelled
    assert caplog.messages[0].startswith("no labels are read from labels.txt: ")


def test_only_a_folder_has_labels_in_a_file(flat):
    with pytest.raises(DatasetError, match="is not a folder of images"):
        open_dataset(flat / "0.png", labels_file=flat / "x")


@pytest.mark.parametrize("label", ["-1", "0.7", "-0.5", ".5", "1.0"])
def test_a_number_that_counts_nothing_is_no_label(label: str, flat: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text(f"0.png 0\n1.png 1\n2.png {label}\n")
    with pytest.raises(DatasetError, match="is not a class index"):
        open_dataset(flat, labels_file=file)
