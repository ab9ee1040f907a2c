"""Datasets in parquet."""

from __future__ import annotations

import io
import json
import pickle
import sys
from pathlib import Path

import pytest
from PIL import Image

from resnet_deploy.data import row_groups
from resnet_deploy.data.datasets import open_dataset
from resnet_deploy.data.loader import image_name
from resnet_deploy.errors import DatasetError, MissingDependencyError


def _png(red: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), (red, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def _write(path: Path, *, labels=None, names=None, count: int = 25) -> Path:
    import pyarrow
    import pyarrow.parquet

    columns = {"image": [{"bytes": _png(i), "path": f"{i}.png"} for i in range(count)]}
    if labels is not None:
        columns["label"] = [labels[i % len(labels)] for i in range(count)]
    table = pyarrow.table(columns)
    if names is not None:
        features = {"label": {"_type": "ClassLabel", "names": names}}
        table = table.replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": features}})}
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table, path, row_group_size=4)
    return path


def test_a_dataset_of_hugging_face(tmp_path):
    _write(tmp_path / "data/train-00000-of-00001.parquet", labels=[1], names=["a", "b", "c"])
    train = open_dataset(tmp_path, train=True)
    assert (train.name, len(train), train.label(7)) == (f"{tmp_path.name}/train", 25, 1)
    for shard in range(2):
        path = tmp_path / f"data/test-0000{shard}-of-00002.parquet"
        _write(path, labels=[0, 2], names=["a", "b", "c"])
    test = open_dataset(tmp_path)
    assert (len(test), test.classes) == (50, ("a", "b", "c"))
    assert [test.label(i) for i in (0, 1, 25, 26)] == [0, 2, 0, 2]
    # In any order: row groups come and go.
    for index in (49, 0, 24, 25, 26, 13, 0):
        assert test.image(index).getpixel((0, 0)) == (index % 25, 0, 0)
    assert test.fingerprint() != train.fingerprint()


def test_labels_may_be_names_or_numbers_or_missing(tmp_path):
    one = open_dataset(_write(tmp_path / "one.parquet", labels=["dog", "cat"]))
    assert (one.classes, one.label(0)) == (("cat", "dog"), 1)
    assert open_dataset(_write(tmp_path / "two.parquet", labels=[2])).classes == ("0", "1", "2")
    assert not open_dataset(_write(tmp_path / "three.parquet")).labelled
    with pytest.raises(DatasetError, match="label 2 but only 1 names"):
        open_dataset(_write(tmp_path / "four.parquet", labels=[2], names=["a"]))


def test_damaged_inside(tmp_path):
    path = _write(tmp_path / "test.parquet", labels=[0])
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes(1000) + content[1100:])
    with pytest.raises(DatasetError, match=r"damaged parquet|cannot read image"):
        [open_dataset(path).image(i) for i in range(25)]


def test_what_is_no_picture_is_told_as_in_a_folder(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow as pa

    parquet.write_table(pa.table({"image": [b"no picture"]}), tmp_path / "a.parquet")
    dataset = open_dataset(tmp_path / "a.parquet")
    for one in (dataset, dataset.part([0])):  # type: ignore[attr-defined]
        with pytest.raises(DatasetError, match=r"image 0 of a\.parquet: it is not a JPEG, PNG or"):
            one.image(0)


def test_parquet_without_images(tmp_path):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"x": [1], "y": [2]}), tmp_path / "a.parquet")
    with pytest.raises(DatasetError, match="without images: it has the columns x, y"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", bytes(500)])
def test_a_damaged_file_is_named_with_or_without_pyarrow(tmp_path, data):
    (tmp_path / "test-00000-of-00001.parquet").write_bytes(data)
    with pytest.raises(DatasetError, match="damaged parquet file"):
        open_dataset(tmp_path)


def test_without_pyarrow_the_command_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    footer = bytes(20)
    content = b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(MissingDependencyError, match=r"pip install 'resnet-deploy\[data\]'"):
        open_dataset(tmp_path)


def test_parquet_counts_where_a_picture_lies_beside_it(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow as pa

    for name in ("0.png", "z.png"):
        (tmp_path / name).write_bytes(_png(9))
    parquet.write_table(pa.table({"image": [_png(1)]}), tmp_path / "a.parquet")
    assert len(open_dataset(tmp_path)) == 1


def test_a_part_travels_and_reads_where_the_files_lie(tmp_path, monkeypatch):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    for shard in range(2):
        table = pa.table({"image": [_png(4 * shard + row) for row in range(4)], "label": [0] * 4})
        parquet.write_table(table, tmp_path / f"{shard}.parquet", row_group_size=3)
    monkeypatch.chdir(tmp_path)
    whole = open_dataset(Path())
    part = whole.part([1, 3, 6])  # type: ignore[attr-defined]
    monkeypatch.chdir("/")
    sent = pickle.loads(pickle.dumps(part))
    assert [sent.image(at).getpixel((0, 0))[0] for at in range(3)] == [1, 3, 6]
    assert image_name(sent, 2) == image_name(whole, 6)
    before = part.fingerprint()
    assert sent.fingerprint() == before
    (tmp_path / "1.parquet").write_bytes(b"PAR1")
    assert sent.fingerprint() != before


def test_parts_of_another_name_only(tmp_path):
    (tmp_path / "train-0.parquet").write_bytes(b"PAR1")
    with pytest.raises(DatasetError, match="parquet files of train only"):
        open_dataset(tmp_path)


def test_a_missing_file_of_a_folder_is_told(tmp_path):
    for shard in (0, 2):
        _write(tmp_path / f"data/test-0000{shard}-of-00003.parquet", labels=[0], names=["a"])
    with pytest.raises(DatasetError, match=r"holds 2 of 3 files test-….*; number 1 is missing"):
        open_dataset(tmp_path)
    assert len(open_dataset(tmp_path / "data/test-00002-of-00003.parquet")) == 25
    assert len(open_dataset(tmp_path / "data/test-0000{0..0}-of-00003.parquet")) == 25


def test_files_that_contradict_each_other_are_told(tmp_path):
    _write(tmp_path / "names/a.parquet", labels=[0], names=["cat", "dog"])
    _write(tmp_path / "names/b.parquet", labels=[0], names=["dog", "cat"])
    with pytest.raises(DatasetError, match=r"b\.parquet names other classes than .*a\.parquet"):
        open_dataset(tmp_path / "names")
    _write(tmp_path / "labels/a.parquet", labels=[0])
    _write(tmp_path / "labels/b.parquet")
    with pytest.raises(DatasetError, match="50 images and 25 labels"):
        open_dataset(tmp_path / "labels")


@pytest.mark.parametrize("names", [["cat", None], ["cat", 1], ["cat", " "], ["cat", "x" * 1001]])
def test_class_names_are_texts(tmp_path, names):
    path = _write(tmp_path / "a.parquet", labels=[0, 1], names=names)
    with pytest.raises(DatasetError, match="class names that are no text"):
        open_dataset(path)


@pytest.mark.parametrize("label", ["x" * 1001, [0] * 1000, b"cat", {"name": "cat"}])
def test_labels_are_numbers_or_names(tmp_path, label):
    path = _write(tmp_path / "a.parquet", labels=[label])
    with pytest.raises(DatasetError, match=r"a label of 1001 letters|labels of the kind"):
        open_dataset(path)


def test_a_value_that_is_stored_once_is_not_unpacked_for_all_rows(tmp_path, monkeypatch):
    """A picture of some kB in a dictionary may be that of any number of rows."""
    monkeypatch.setattr(row_groups, "_MOST_BYTES", 1 << 20)
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = arrow.table({"image": [bytes(20_000)] * 100})
    parquet.write_table(table, tmp_path / "a.parquet")
    dataset = open_dataset(tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 25_000
    with pytest.raises(DatasetError, match="has a row group of 1 MiB, too large to read"):
        dataset.image(0)


def test_rows_of_all_row_groups_need_bytes(tmp_path):
    """A dictionary holds what all rows have in common, and a row group more rows than bytes."""
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    count = 3000
    table = arrow.table({"image": [b""] * count, "label": arrow.array([1] * count, arrow.int8())})
    table = table.replace_schema_metadata({"filler": "x" * count})
    with parquet.ParquetWriter(tmp_path / "a.parquet", table.schema, compression="zstd") as file:
        for _ in range(20):
            file.write_table(table)
    assert (tmp_path / "a.parquet").stat().st_size < 10 * count
    with pytest.raises(DatasetError, match=r"claims \d+ images in \d+ bytes"):
        open_dataset(tmp_path / "a.parquet")


def test_names_of_columns_begin_no_line(tmp_path):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table({"la\nbel": [1]}), tmp_path / "a.parquet")
    with pytest.raises(DatasetError, match=r"it has the columns la bel$"):
        open_dataset(tmp_path / "a.parquet")


def test_a_shard_or_a_row_group_may_be_empty(tmp_path):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    whole = pa.table({"image": [_png(1), _png(2)], "label": [0, 1]})
    empty = whole.slice(0, 0)
    parquet.write_table(empty, tmp_path / "a.parquet")
    with parquet.ParquetWriter(tmp_path / "b.parquet", whole.schema) as writer:
        for table in (whole.slice(0, 1), empty, whole.slice(1)):
            writer.write_table(table)
    dataset = open_dataset(tmp_path)
    assert [dataset.image(at).getpixel((0, 0)) for at in range(2)] == [(1, 0, 0), (2, 0, 0)]
    assert [dataset.label(at) for at in range(2)] == [0, 1]
    with pytest.raises(DatasetError, match="parquet without rows"):
        open_dataset(tmp_path / "a.parquet")
