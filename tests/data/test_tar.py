"""Tar archives: WebDataset's shards, folders that were packed, and what can't be read."""

from __future__ import annotations

import io
import json
import logging
import os
import pickle
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from PIL import Image

from resnet_deploy.data.datasets import open_dataset
from resnet_deploy.data.loader import image_name
from resnet_deploy.data.places import place_of
from resnet_deploy.data.tar_members import tar_members
from resnet_deploy.errors import DatasetError
from tests.support.object_store import Store, object_store, reading
from tests.support.world import no_hang


def _png(red: int, form: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4 + red), (red, 0, 0)).save(stream, form)
    return stream.getvalue()


def _tar(files: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def _shard(first: int, labels: str = "cls") -> bytes:
    """Return four samples, from number ``first`` on, of the classes 0 to 2."""
    files: dict[str, bytes] = {}
    for number in range(first, first + 4):
        label = json.dumps({"label": number % 3, "caption": "x" * 300})
        told = {"cls": str(number % 3), "json": label, "txt": f"class {number % 3}\n"}
        files |= {
            f"{number:06d}.png": _png(number),
            f"{number:06d}.{labels}": told[labels].encode(),
        }
        files[f"{number:06d}.seg.png"] = _png(0)
    return _tar(files)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shards") / "web"
    root.mkdir()
    for part, first in (("train", 0), ("val", 8)):
        for number in range(2):
            data = _shard(first + 4 * number)
            (root / f"pets-{part}-{number:03d}.tar").write_bytes(data)
    return root


@pytest.fixture(scope="module")
def packed() -> dict[str, bytes]:
    """Two parts of class folders, files that are not images, and a folder around them."""
    names = ("train/cat/1.png", "train/dog/2.png", "train/emu/3.png", "val/cat/4.png")
    files = {f"./pets/{name}": _png(red) for red, name in enumerate(names)}
    files["./pets/val/dog/" + "long " * 40 + "ä.png"] = _png(9)
    return files | {"./pets/val/dog/notes.txt": b"no image", "./pets/val/._cat.png": b"hidden"}


@pytest.mark.parametrize("labels", ["cls", "json", "txt"])
def test_labels_lie_beside_the_pictures(tmp_path, labels):
    (tmp_path / "a.tar").write_bytes(_shard(0, labels))
    dataset = open_dataset(tmp_path / "a.tar")
    assert dataset.classes == (
        ("class 0", "class 1", "class 2") if labels == "txt" else ("0", "1", "2")
    )
    assert [dataset.label(index) for index in range(4)] == [0, 1, 2, 0]
    assert [dataset.image(index).getpixel((0, 0)) for index in (0, 3)] == [(0, 0, 0), (3, 0, 0)]
    assert (dataset.name, image_name(dataset, 3)) == ("a.tar", "000003.png")
    assert dataset.fingerprint() != open_dataset_of(tmp_path, _shard(3, labels)).fingerprint()


def open_dataset_of(folder: Path, data: bytes):
    (folder / "other.tar").write_bytes(data)
    return open_dataset(folder / "other.tar")


def test_parts_and_ranges_of_shards(shards):
    assert open_dataset(shards).name == "web/val"
    train = open_dataset(shards, train=True)
    assert (train.name, len(train), image_name(train, 4)) == (
        "web/train",
        8,
        "pets-train-001.tar/000004.png",
    )
    assert [train.image(index).height for index in range(8)] == list(range(4, 12))
    ranged = open_dataset(shards / "pets-val-{000..001}.tar")
    assert ranged.fingerprint() == open_dataset(shards).fingerprint()
    with pytest.raises(DatasetError, match=r"pets-val-002.tar does not exist"):
        open_dataset(shards / "pets-val-{000..002}.tar")


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("train", [False, True])
def test_a_packed_folder_is_what_it_unpacks_to(tmp_path, packed, form, train, caplog):
    caplog.set_level(logging.WARNING, logger="resnet_deploy")
    (tmp_path / "a.tar").write_bytes(_tar(packed, form))
    for name, content in packed.items():
        path = tmp_path / "unpacked" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    opened = []
    for path in (tmp_path / "a.tar", tmp_path / "unpacked"):
        opened.append((open_dataset(path, train=train), caplog.messages))
        caplog.clear()
    (one, told), (two, also) = opened
    assert told == also
    assert (one.classes, one.fingerprint()) == (two.classes, two.fingerprint())
    for index in range(len(two)):
        assert one.image(index).tobytes() == two.image(index).tobytes()
        assert one.label(index) == two.label(index)


def test_a_part_travels_with_its_own_names_only(shards, monkeypatch):
    whole = open_dataset(shards, train=True)
    part = whole.part([1, 6])  # type: ignore[attr-defined]
    sent = pickle.dumps(part)
    assert len(sent) < 1500
    assert b"000002.png" not in sent
    monkeypatch.chdir("/")
    again = pickle.loads(sent)
    assert [again.image(index).height for index in (0, 1)] == [5, 10]
    assert list(again.names) == [whole.names[1], whole.names[6]]  # type: ignore[attr-defined]


def test_images_count_where_their_archive_lies_beside_them(tmp_path, packed, caplog):
    for place in ("cat", "dog"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "1.png").write_bytes(_png(0))
    for name in ("a.tar", "z.tar"):
        (tmp_path / name).write_bytes(_tar(packed))
    assert open_dataset(tmp_path).classes == ("cat", "dog")
    assert caplog.messages == ["2 files are not images that can be read: a.tar, z.tar"]


def test_shards_in_folders_of_parts(tmp_path):
    for part, first in (("train", 0), ("val", 4)):
        (tmp_path / part).mkdir()
        (tmp_path / part / "0.tar").write_bytes(_shard(first))
    for train, height in ((True, 4), (False, 8)):
        assert open_dataset(tmp_path, train=train).image(0).height == height


def test_labels_in_a_file_of_an_archive(tmp_path):
    files = {"1.png": _png(1), "2.png": _png(2), "labels.csv": b"1.png,cat\n2.png,dog\n"}
    (tmp_path / "a.tar").write_bytes(_tar(files))
    dataset = open_dataset(tmp_path / "a.tar")
    assert (dataset.classes, dataset.label(1)) == (("cat", "dog"), 1)
    (tmp_path / "other.csv").write_text("1,emu\n2,emu\n")
    assert open_dataset(tmp_path / "a.tar", labels_file=tmp_path / "other.csv").classes == ("emu",)


def test_an_archive_is_no_class(tmp_path):
    """Of two shards and a network of two classes all would be right or wrong by their position."""
    for shard in range(2):
        (tmp_path / f"a-{shard}.tar").write_bytes(_tar({"1.png": _png(1), "2.png": _png(2)}))
    found = open_dataset(tmp_path)
    assert [*found.names] == [f"a-{s}.tar/{n}.png" for s in range(2) for n in (1, 2)]  # type: ignore[attr-defined]
    assert (found.labelled, found.classes) == (False, ())
    (tmp_path / "told.csv").write_text("a-0.tar/1.png,cat\na-1.tar/2.png,dog\n")
    told = open_dataset(tmp_path, labels_file=tmp_path / "told.csv")
    assert (told.classes, len(told)) == (("cat", "dog"), 2)


def test_pictures_without_labels_are_left_out_and_told(tmp_path, caplog):
    files = {"1.png": _png(1), "1.cls": b"7", "2.png": _png(2), "3.cls": b"8"}
    (tmp_path / "a.tar").write_bytes(_tar(files))
    assert len(open_dataset(tmp_path / "a.tar")) == 1
    assert caplog.messages == ["1 image is without a label in .cls: 2.png"]


def _linked(kind: bytes, name: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "/etc/passwd"
        archive.addfile(entry)
    return stream.getvalue()


def _of_type(kind: bytes) -> bytes:
    """Return an archive of two pictures of which the first is of another type."""
    data = bytearray(_tar({"cat/1.png": _png(1), "dog/1.png": _png(2)}))
    data[156:157] = kind
    data[148:156] = b"%06o\0 " % (sum(data[:148]) + 8 * 32 + sum(data[156:512]))
    return bytes(data)


BLANK = b'{"label": "\\u00a0"}'
WHOLE = _tar({"cat/1.png": _png(1), "dog/1.png": _png(2)})
HUGE = bytearray(_tar({"a" * 200: b""}, tarfile.GNU_FORMAT))
HUGE[124:136] = b"77777777777\0"
HUGE[148:156] = b"%06o\0 " % (sum(HUGE[:148]) + 8 * 32 + sum(HUGE[156:512]))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (WHOLE[:540], "was cut short"),
        (WHOLE[:700], "was cut short"),
        (WHOLE[:1024], "was cut short"),
        (WHOLE + WHOLE, "goes on behind its end"),
        (WHOLE[:400] + b"\1" + WHOLE[401:], r"a\.tar: entry 1 can't be read"),
        (_linked(tarfile.SYMTYPE, "cat/1.png"), r"cat/1.png is a link: pack what"),
        (_linked(tarfile.LNKTYPE, "cat/1.png"), r"cat/1.png is a link: pack what"),
        (_linked(tarfile.SYMTYPE, "README"), "an archive, holds no images: pack DIR"),
        (_tar({"cat/1.png": b"", "./cat/1.png": b""}), "holds cat/1.png twice"),
        (_tar({"1.jpg": b"", "1.png": b"", "1.cls": b"0"}), "are pictures of one sample"),
        (_tar({"1.jpg": b"", "1.cls": b"9" * 70000}), r"1.cls is too large"),
        (_tar({"1.jpg": b"", "1.cls": b"\xff"}), r"1.cls can't be read as a label"),
        (_tar({"1.jpg": b"", "1.json": b'{"label": [1]}'}), r"1.json has a label"),
        (_tar({"1.jpg": b"", "1.json": b"[" * 9999}), r"1.json can't be read"),
        (bytes(HUGE), "header that is too long"),
        (_tar({}), "an archive, holds no images: pack DIR"),
        (_tar({"a\nb.md": b""}), r"no images, but a\\nb\.md:"),
        (_linked(tarfile.SYMTYPE, "a\n1.png"), r"a\\n1\.png is a link: pack what"),
        (_tar({"\n1.png": b"", "./\n1.png": b""}), r"holds \\n1\.png twice"),
        (_tar({"\n1.jpg": b"", "\n1.png": b"", "\n1.cls": b"0"}), "are pictures of one sample"),
        (_tar({"\n1.jpg": b"", "\n1.cls": b"\xff"}), r"\\n1.cls can't be read as a label"),
        (_tar({"../1.png": b"", "cat/1.png": b""}), r"\.\./1\.png leads out of the archive"),
        (_tar({"1.jpg": b"", "1.cls": b"0", "1.CLS": b"1"}), r"1\.CLS is there twice: keep one"),
        (_tar({"1.jpg": b"", "1.cls": b"-1"}), r"1\.cls has the label -1, which is not a class"),
        (
            _tar({"1.jpg": b"", "1.json": b'{"label": 1}', "2.jpg": b"", "2.json": BLANK}),
            r"2\.json holds no label",
        ),
        (_of_type(b"M"), r"entry 1 began in another archive"),
        (
            _tar({"\n.jpg": b"", "\n.cls": b"0", "b.cls": b"", "./\n.jpg": b"", "./\n.cls": b"1"}),
            "two images called",
        ),
    ],
)
def test_what_can_not_be_read_is_one_line(tmp_path, data, words):
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(DatasetError, match=words) as caught:
        open_dataset(tmp_path / "a.tar")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "headers",
    [
        {"path": "x\0y"},
        {"path": "x" * 5000},
        {"size": "-1"},
        {"size": "9" * 30},
        {"GNU.sparse.major": "1"},
    ],
)
def test_pax_headers_are_bounded(headers):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo("cat/1.png")
        entry.pax_headers = headers
        archive.addfile(entry)
    with pytest.raises(DatasetError):
        list(tar_members(stream, len(stream.getvalue()), "a.tar"))


def test_a_type_that_nobody_knows_is_that_of_a_file(tmp_path):
    (tmp_path / "a.tar").write_bytes(_of_type(b"Z"))
    assert len(open_dataset(tmp_path / "a.tar")) == 2


def test_names_are_those_of_the_unpacked_files(tmp_path):
    names = ("cat/./1.png", "dog//1.png", "/./dog/2.png", "emu/.")
    (tmp_path / "a.tar").write_bytes(_tar({name: _png(1) for name in names}))
    found = open_dataset(tmp_path / "a.tar")
    assert list(found.names) == ["cat/1.png", "dog/1.png", "dog/2.png"]  # type: ignore[attr-defined]


def test_folders_in_folders_without_end(tmp_path):
    (tmp_path / "a.tar").write_bytes(_tar({"d/" * 1900 + "1.png": _png(1)}))
    assert open_dataset(tmp_path / "a.tar").classes == ("d",)


def test_a_range_of_what_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "a-0.tar")
    (tmp_path / "b-0.tar").mkdir()
    for name in ("a", "b"):
        with pytest.raises(DatasetError, match=r"-0\.tar is not a file, and"), no_hang():
            open_dataset(tmp_path / f"{name}-{{0..0}}.tar")


def test_members_are_those_that_tarfile_finds(tmp_path):
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        long = f"{'d' * 90}/{'e' * 90}.png"
        data = _tar({"a": b"1", long: b"2" * 1025, "ä/b": b"", "c": b"3"}, form)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            wanted = [(one.name, one.offset_data, one.size, False) for one in archive]
        assert list(tar_members(io.BytesIO(data), len(data), "a.tar")) == wanted


@pytest.fixture(scope="module")
def store(shards: Path, packed: dict[str, bytes]) -> Iterator[Store]:
    with object_store() as made, reading(made):
        made.put_folder("shards", shards)
        made.put("packed", {"in/a.tar": _tar(packed)})
        yield made


def test_archives_in_a_bucket_are_read_in_parts(store, shards, packed, tmp_path):
    for url in ("s3://shards", "s3://shards/pets-val-{000..001}.tar"):
        there, here = open_dataset(place_of(url)), open_dataset(shards)
        assert (there.fingerprint(), there.classes) == (here.fingerprint(), here.classes)
        before = store.requests
        assert there.image(5).tobytes() == here.image(5).tobytes()
        assert store.requests == before + 1
    (tmp_path / "a.tar").write_bytes(_tar(packed))
    there, here = (
        open_dataset(at) for at in (place_of("s3://packed/in/a.tar"), tmp_path / "a.tar")
    )
    assert there.fingerprint() == here.fingerprint()
    assert there.content(0) != there.content(1) != here.content(1)  # type: ignore[attr-defined]
