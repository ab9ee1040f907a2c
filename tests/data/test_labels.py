from __future__ import annotations

import re

import pytest

from resnet_deploy.data.labels import (
    class_order,
    imagenet_labels,
    imagenet_wnids,
    match_classes,
    output_names,
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


@pytest.mark.parametrize(
    ("classes", "outputs", "expected"),
    [
        (("0", "1", "2"), 10, (0, 1, 2)),
        (("3", "7", "10"), 11, (3, 7, 10)),
        (("00", "07"), 10, (0, 7)),
        # From 1, and years: every order of them is the same.
        (("1", "2", "3"), 3, (0, 1, 2)),
        (("1990", "2000"), 2, (0, 1)),
    ],
)
def test_numbers_are_outputs(classes, outputs, expected):
    assert match_classes(classes, (), outputs) == expected
    assert match_classes(classes, tuple(f"name {i}" for i in range(outputs)), outputs) == expected


@pytest.mark.parametrize(
    ("classes", "outputs"),
    [(("0", "1", "2"), 2), (tuple(str(i) for i in range(1, 11)), 10), (("5", "10"), 10)],
)
def test_numbers_that_are_no_outputs_are_refused(classes, outputs):
    with pytest.raises(
        DatasetError, match=rf"{len(classes)} classes, the model {outputs}, .* none"
    ):
        match_classes(classes, (), outputs)


def test_names_that_are_numbers_go_before_numbers():
    labels = ("0", "1", "10", "2")  # as torchvision sorts them
    assert match_classes(("10", "2"), labels, 4) == (2, 3)


def test_the_order_of_classes():
    assert class_order(["10", "9", "0", "9"]) == ("0", "9", "10")
    assert class_order(["10", "9", "b", "A"]) == ("10", "9", "A", "b")


SYNSETS = ("n01440764 tench, Tinca tinca", "n02012849 crane", "n03126707 crane", "n1 x")


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (("n03126707", "n01440764"), (2, 0)),
        (("n03126707_crane", "n02012849-crane"), (2, 1)),
        (("tench", "n02012849"), (0, 1)),
        (("Tench, tinca tinca",), (0,)),
    ],
)
def test_a_wordnet_id_in_front_of_a_name_is_understood(classes, expected):
    assert match_classes(classes, SYNSETS, 4) == expected


def test_a_name_with_another_wordnet_id_is_another_class():
    labels = ("n02012849 crane", "n01440764 tench", "n01443537 goldfish")
    with pytest.raises(DatasetError, match="1 classes, the model 3"):
        match_classes(("n03126707 crane",), labels, 3)
    with pytest.raises(DatasetError, match="1 classes, the model 4"):
        match_classes(("crane",), SYNSETS, 4)


def test_names_of_imagenet_match_a_file_without_names():
    assert match_classes(("tench", "banana"), (), 1000) == (0, 954)
    assert output_names((), 1000)[0] == "tench"
    assert output_names((), 10) == ()
    assert output_names(("a", "b"), 2) == ("a", "b")


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


TENCH = ("n01440764 tench", "n01443537 goldfish")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("l.txt", "cat\ndog, hound\n", ("cat", "dog, hound")),
        ("l.txt", "0\n1\n10\n", ("0", "1", "10")),
        ("l.txt", "0: cat\n1: dog\n", ("cat", "dog")),
        ("l.txt", "1 dog\n0 hot dog\n", ("hot dog", "dog")),
        ("l.txt", "n01440764 tench\nn01443537 goldfish\n", TENCH),
        ("l.txt", "{0: 'cat, kitty',\n 1: 'dog'}", ("cat, kitty", "dog")),
        ("l", '["cat",\n"dog"]\n', ("cat", "dog")),
        ("l", '[["n01440764", "tench"], ["n01443537", "goldfish"]]', TENCH),
        ("l", '{"1": "dog", "0": "cat"}', ("cat", "dog")),
        ("l", '{"dog": 1, "cat": 0}', ("cat", "dog")),
        ("l", '{"10": 1, "2": 0}', ("2", "10")),
        ("l", '{"1": ["n01443537", "goldfish"], "0": ["n01440764", "tench"]}', TENCH),
        ("l", '{"n01440764": "tench", "n01443537": "goldfish"}', TENCH),
        ("l", '{"id2label": {"0": "cat", "1": "dog"}, "label2id": {"x": 0}}', ("cat", "dog")),
        ("l", '{"label_names": ["cat", "dog"]}', ("cat", "dog")),
        ("l", '[{"id": 1, "name": "dog"}, {"id": 0, "name": "cat"}]', ("cat", "dog")),
        ("l.csv", "index,name\n1,dog\n0,cat\n", ("cat", "dog")),
        ("l.csv", "0,cat\n1,dog\n", ("cat", "dog")),
        ("l.csv", "cat,0\ndog,1\n", ("cat", "dog")),
        ("l.csv", "name\ncat\ndog\n", ("cat", "dog")),
        ("l.csv", '"tench, Tinca"\ndog\n', ("tench, Tinca", "dog")),
        ("l.csv", "id,wnid,name\n0,n01440764,tench\n1,n01443537,goldfish\n", TENCH),
        ("l.csv", "n01440764,tench\nn01443537,goldfish\n", TENCH),
        ("l.tsv", "name\tindex\ncat\t0\ndog\t1\n", ("cat", "dog")),
        ("l.txt", "class_id;class_name\n1;dog\n0;cat\n", ("cat", "dog")),
    ],
)
def test_every_published_form_of_names(tmp_path, name, text, expected):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert read_labels_file(path) == expected


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("l", "[1,", "looks like JSON"),
        ("l", "[" * 100_000, "looks like JSON"),
        ("l", "{}", "JSON without class names"),
        ("l", '{"1": "a", "2": "b"}', "none with the number 0"),
        ("l", '{"a": 0, "b": 0}', "none with the number 1"),
        ("l", '["a", null]', "a class name 'None'"),
        ("l", '["a", ""]', "no name for class 1"),
        ("l", "item {\n id: 1\n}\n", "holds no class names"),
        ("l", "names:\n  0: cat\n", "holds no class names"),
        ("l", "<html>", "holds no class names"),
        ("l", "a\x00b", "holds no class names"),
        ("l.csv", "a,b,c\n1,2,3\n", "no column called name"),
        ("l.csv", "index,name\n0,a,b\n", "row 2 has not 2 columns"),
        ("l.csv", "index,name,Name\n0,a,b\n", "has two columns 'name': keep one"),
        ("l.txt", "{0x" + "f" * 4000 + ": 'a'}", "a number of 16000 bits"),
        ("l.txt", "{'a': 1e999}", "is not a number"),
        ("l.txt", "n02119789 1 kit_fox\nn02100735 2 setter\n", "an order of its own"),
        ("l.txt", "x" * (5 << 20), "4 MiB are the most"),
    ],
)
def test_what_holds_no_names_is_refused_in_one_line(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DatasetError, match=message) as caught:
        read_labels_file(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "is empty"), (b"a\n\nb\n", "blank line 2"), (b"\xff\xfe\x00", "not UTF-8 text")],
)
def test_bad_labels_files(tmp_path, data, message):
    path = tmp_path / "labels.txt"
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=rf"labels\.txt .*{message}"):
        read_labels_file(path)
    with pytest.raises(DatasetError, match="cannot read labels"):
        read_labels_file(tmp_path)


@pytest.mark.parametrize("labels", [(), ("background", *imagenet_labels())])
def test_a_background_in_front_shifts_the_classes(labels):
    assert match_classes(("n01440764", "n01443537_goldfish"), labels, 1001) == (1, 2)
    assert match_classes(("toilet tissue", "tench"), labels, 1001) == (1000, 1)
    assert match_classes(("1", "1000"), labels, 1001) == (1, 1000)
    with pytest.raises(DatasetError, match="output 0 of 1001 is the background"):
        match_classes(("0", "1"), labels, 1001)


def test_other_1001_names_have_no_background():
    labels = tuple(f"name {index}" for index in range(1001))
    assert match_classes(("0", "1000"), labels, 1001) == (0, 1000)
    with pytest.raises(DatasetError, match="rename the class folders"):
        match_classes(("n01440764", "n01443537"), labels, 1001)


def test_two_classes_of_one_name_are_not_told_apart() -> None:
    with pytest.raises(DatasetError, match="2 classes that are called 'a'"):
        match_classes(("a", "a", "b"), ("a", "b", "c"), 3)
    assert match_classes(("crane", "a", "crane"), ("crane", "a", "crane"), 3) == (0, 1, 2)
