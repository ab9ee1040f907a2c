from __future__ import annotations

import re

import pytest

from resnet_deploy.data.labels import (
    imagenet_labels,
    imagenet_wnids,
    match_classes,
)
from resnet_deploy.data.labels_file import read_labels_file
from resnet_deploy.errors import DatasetError


def test_imagenet_classes():
    labels, wnids = imagenet_labels(), imagenet_wnids()
    assert len(labels) == len(set(labels)) == 1000
    assert all(re.fullmatch(r"n\d{8}", wnid) for wnid in wnids)
    assert list(wnids) == sorted(set(wnids))
    # Known by everybody who has looked at a ResNet's output.
    known = {0: "tench", 207: "golden retriever", 281: "tabby", 817: "sports car", 954: "banana"}
    assert {index: labels[index] for index in known} == known
    assert labels[999] == "toilet tissue"


def test_photos_are_named_after_the_same_classes(photos):
    names = dict(zip(imagenet_wnids(), imagenet_labels(), strict=True))
    files = sorted(photos.rglob("*.JPEG"))
    assert len(files) == 125
    for file in files:
        wnid, _, name = file.stem.partition("_")
        assert name.replace("_", " ") == names[wnid]


def test_match_by_name():
    labels = ("cat", "dog", "Great White Shark", "ant")
    assert match_classes(("ANT", "great_white_shark", "cat"), labels, 4) == (3, 2, 0)


def test_exact_case_wins():
    labels = imagenet_labels()
    dog, garment = match_classes(("Cardigan", "cardigan"), labels, 1000)
    assert (dog, garment) == (264, 474)


def test_names_go_before_positions():
    assert match_classes(("a", "b"), ("b", "a"), 2) == (1, 0)


@pytest.mark.parametrize("labelled", [True, False])
def test_match_by_wordnet_id(labelled):
    labels = imagenet_labels() if labelled else ()
    classes = ("n01440764_tench", "n01443537", "n15075141-toilet tissue")
    assert match_classes(classes, labels, 1000) == (0, 1, 999)


def test_wordnet_ids_with_other_published_labels():
    labels = tuple(f"{label}, other words" for label in imagenet_labels())
    assert match_classes(("n01443537",), labels, 1000) == (1,)
    with pytest.raises(DatasetError, match="1 classes, the model 1000"):
        match_classes(("n01443537",), tuple(f"label {i}" for i in range(1000)), 1000)


def test_match_by_position_when_counts_fit():
    assert match_classes(("x", "y"), (), 2) == (0, 1)
    assert match_classes(("x", "y"), ("a", "b"), 2) == (0, 1)


def test_numbers_are_class_indices():
    assert match_classes(("0", "1", "2"), (), 10) == (0, 1, 2)
    with pytest.raises(DatasetError, match="3 classes, the model 2"):
        match_classes(("0", "1", "2"), (), 2)


def test_counts_that_differ():
    with pytest.raises(DatasetError, match=r"2 classes, the model 3, .*such as 'zebra'"):
        match_classes(("dog", "zebra"), ("cat", "dog", "ant"), 3)


def test_names_at_other_positions_are_not_guessed():
    with pytest.raises(DatasetError, match="'dog' is number 0 in the data but 1 in the model"):
        match_classes(("dog", "kitty"), ("cat", "dog"), 2)


def test_ambiguous_labels_match_nothing():
    assert match_classes(("crane", "dog"), ("crane", "crane"), 2) == (0, 1)
    with pytest.raises(DatasetError):
        match_classes(("crane",), ("crane", "crane"), 2)


def test_labels_file(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("\ufeffcat\r\n  hot dog \nænima\n\n", encoding="utf-8")
    assert read_labels_file(path) == ("cat", "hot dog", "ænima")


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "is empty"), (b"a\n\nb\n", "blank line 2"), (b"\xff\xfe\x00", "no UTF-8 text")],
)
def test_bad_labels_files(tmp_path, data, message):
    path = tmp_path / "labels.txt"
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=rf"labels\.txt .*{message}"):
        read_labels_file(path)
    with pytest.raises(DatasetError, match="cannot read labels"):
        read_labels_file(tmp_path)
