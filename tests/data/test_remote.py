"""Datasets in buckets: a real S3 server on loopback, and what it may answer."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from resnet_deploy.data.asking import UnreachableError
from resnet_deploy.data.datasets import Source, open_dataset
from resnet_deploy.data.loader import map_batches, prepared_batches
from resnet_deploy.data.places import place_of
from resnet_deploy.data.trees import tree_of
from resnet_deploy.errors import DatasetError
from tests.support.cli import run
from tests.support.contracts import square
from tests.support.object_store import SECRET, Store, forget, object_store, reading


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two parts of class folders, and what is none of them."""
    root = tmp_path_factory.mktemp("made") / "pets"
    names = ("train/cat/1.png", "train/dog/2.png", "train/emu/3.png", "val/cat/4.png")
    for red, name in enumerate((*names, "val/dog/deep/a b+c%.png", "val/.hidden/5.png")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4 + red), (red, 0, 0)).save(root / name)
    (root / "val/dog/notes.txt").write_text("no image")
    return root


@pytest.fixture(scope="module")
def store(pets: Path) -> Iterator[Store]:
    with object_store() as made, reading(made):
        made.put_folder("pets", pets)
        made.put("empty", {})
        yield made


def test_class_folders_in_a_bucket_are_those_of_a_folder(store, pets, caplog):
    caplog.set_level(logging.WARNING, logger="resnet_deploy")
    for train in (False, True):
        here = open_dataset(pets, train=train)
        told = [record.getMessage() for record in caplog.records]
        caplog.clear()
        there = open_dataset(place_of("s3://pets"), train=train)
        assert [record.getMessage() for record in caplog.records] == told
        caplog.clear()
        assert (there.name, there.classes) == (here.name, here.classes)
        assert there.fingerprint() == here.fingerprint()
        for index in range(len(here)):
            assert there.label(index) == here.label(index)
            assert there.image(index).tobytes() == here.image(index).tobytes()
    assert open_dataset(place_of("s3://pets/val/")).name == "val"


def test_labels_in_a_file_of_a_bucket(store):
    store.put("flat", {"in/a.png": b"1", "in/b.png": b"12", "in/labels.csv": b"a,cat\r\nb,dog\r\n"})
    found = open_dataset(place_of("s3://flat/in"))
    assert found.classes == ("cat", "dog")
    given = open_dataset(place_of("s3://flat/in"), labels_file=place_of("s3://flat/in/labels.csv"))
    assert given.fingerprint() == found.fingerprint()


def test_a_listing_has_many_pages(store, pets, monkeypatch):
    monkeypatch.setattr("resnet_deploy.data.remote._PAGE", 2)
    before = store.requests
    found = open_dataset(place_of("s3://pets"), train=True)
    assert found.fingerprint() == open_dataset(pets, train=True).fingerprint()
    assert store.requests - before > 10


def test_what_opens_a_dataset_travels(store):
    source = Source(path=place_of("s3://pets"))
    source.open(train=True)
    sent = pickle.dumps(source)
    assert len(sent) < 300
    assert (
        pickle.loads(sent).open(train=True).fingerprint() == source.open(train=True).fingerprint()
    )
    whole = pickle.loads(pickle.dumps(source.open(train=True)))
    assert whole.image(1).size == (4, 5)


SPEC = square(8)


def _page(inside: str) -> tuple[int, bytes]:
    """Return what S3 answers to who lists a folder."""
    return 200, f"<ListBucketResult><Name>b</Name>{inside}</ListBucketResult>".encode()


_PICTURE = "<Contents><Key>cat/1.png</Key><Size>3</Size></Contents>"
_MORE = "<IsTruncated>true</IsTruncated>"
_SAME = _page(f"{_PICTURE}{_MORE}<NextContinuationToken>a</NextContinuationToken>")

_OTHER = _page(f"{_MORE}<NextContinuationToken>b</NextContinuationToken>")


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ([_page(_PICTURE + _MORE)], "can't be read (KeyError: 'NextContinuationToken')"),
        ([_page("<Contents><Key>1.png</Key></Contents>")], "can't be read (KeyError: 'Size')"),
        ([_page("<Contents><Size>1</Size></Contents>")], "can't be read (KeyError: 'Key')"),
        ([_page("<CommonPrefixes></CommonPrefixes>")], "can't be read (KeyError: 'Prefix')"),
        ([_SAME] * 9, "can't be read (ValueError: the same page twice)"),
        ([_SAME, _OTHER] * 9, "can't be read (ValueError: the same page twice)"),
    ],
)
def test_an_odd_list_is_one_line(store, pages, words):
    store.answers[:] = pages
    try:
        with pytest.raises(UnreachableError) as caught:
            list(place_of("s3://pets").below())  # type: ignore[union-attr]
    finally:
        store.answers.clear()
    assert words in str(caught.value)


def test_pages_that_overlap_count_no_picture_twice(store):
    store.answers[:] = [_SAME, _page(_PICTURE)]
    with pytest.raises(UnreachableError, match=r"the server lists cat/1\.png twice"):
        tree_of(place_of("s3://pets")).list(place_of("s3://pets"))


def test_names_that_no_file_has_are_left_out(store):
    keys = ("a%00.png", "a/../b.png", "./c.png", "a//d.png", "a/", "e.png")
    files = "".join(f"<Contents><Key>in/{key}</Key><Size>1</Size></Contents>" for key in keys)
    outside = "<Contents><Key>other/f.png</Key><Size>1</Size></Contents>"
    store.answers[:] = [_page(f"<EncodingType>url</EncodingType>{files}{outside}")]
    found = [entry.name for entry in place_of("s3://pets/in").below()]  # type: ignore[union-attr]
    assert found == ["a//d.png", "e.png"]


BUSY = (503, b"<Error><Code>SlowDown</Code><Message>later</Message></Error>")
DENIED = (403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")


@pytest.mark.parametrize(
    ("url", "answers", "words"),
    [
        ("s3://none/x", [], "s3://none/x does not exist"),
        ("s3://pets/none", [], "s3://pets/none does not exist"),
        ("s3://empty", [], "s3://empty holds no images"),
        ("s3://pets", [DENIED] * 9, "s3://pets: access is denied: check the credentials"),
        ("s3://pets", [BUSY] * 99, "busy or broken (status 503), 4 times: try again later"),
        ("s3://pets", [(500, b"")] * 99, "busy or broken (status 500), 4 times"),
        ("s3://key:secret@pets", [], "s3://***@pets has a user or a key in it"),
        ("s3://", [], "names no place"),
        ("ftp://host/x", [], "ftp:// can't be read"),
        ("file://host/x", [], "is on another machine"),
    ],
)
def test_what_a_server_refuses_is_one_line(store, url, answers, words):
    store.answers[:] = answers
    try:
        with pytest.raises(DatasetError) as caught:
            open_dataset(place_of(url))
    finally:
        store.answers.clear()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_busy_server_and_a_lost_connection_are_asked_again(store, pets):
    dataset = open_dataset(place_of("s3://pets"))
    for answer in (BUSY, (500, b""), (206, b"\x89PNG")):
        store.answers[:] = [answer]
        assert dataset.image(0).size == (4, 7)
        assert not store.answers


def test_a_connection_that_is_always_lost_is_no_bad_picture(store):
    dataset = open_dataset(place_of("s3://pets"))
    store.answers[:] = [(206, b"\x89PNG")] * 99
    try:
        with pytest.raises(UnreachableError, match="connection was lost, 4 times"):
            dataset.image(0)
    finally:
        store.answers.clear()


def test_skip_bad_leaves_out_no_picture_that_could_not_be_fetched(store):
    dataset = open_dataset(place_of("s3://pets"))
    left: list[int] = []

    def leave_out(index: int, error: DatasetError) -> None:
        left.append(index)

    for batches in (
        prepared_batches(dataset, [0], [SPEC], batch_size=1, leave_out=leave_out),
        map_batches(
            dataset,
            [0],
            [SPEC],
            lambda batch: len(batch.indices),
            batch_size=1,
            workers=1,
            leave_out=leave_out,
        ),
    ):
        store.answers[:] = [DENIED] * 99
        try:
            with pytest.raises(UnreachableError, match="access is denied"):
                list(batches)
        finally:
            store.answers.clear()
    assert not left


def test_a_bucket_calibrates_to_the_bytes_of_the_folder(store, pets, tiny_export, tmp_path):
    model = tiny_export / "resnet8.onnx"
    files = [tmp_path / "here.int8.onnx", tmp_path / "there.int8.onnx"]
    for data, file in zip((pets, "s3://pets"), files, strict=True):
        words = ("--calibration", data, "-o", file, "--no-verify", "--no-calibration-cache")
        result = run("quantize", model, *words)
        assert result.exit_code == 0, result.output
    assert files[0].read_bytes() == files[1].read_bytes()


def test_no_credentials_and_nobody_there(store, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        forget()
        with pytest.raises(UnreachableError, match="can't be reached"):
            place_of("s3://pets").exists()
        patch.delenv("AWS_SECRET_ACCESS_KEY")
        patch.delenv("AWS_ACCESS_KEY_ID")
        forget()
        with pytest.raises(UnreachableError, match="needs credentials"):
            place_of("s3://pets").exists()
    forget()
