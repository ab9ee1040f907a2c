from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from PIL import Image

from resnet_deploy.data.arrays import ArrayDataset
from resnet_deploy.data.folder import open_folder
from resnet_deploy.data.loader import Batch, image_name, map_batches, prepared_batches
from resnet_deploy.data.preprocess import prepare
from resnet_deploy.errors import DatasetError
from tests.support.contracts import square

SPEC = square(8)


@pytest.fixture
def folder(tmp_path):
    """Seven grey pictures, of which 2, 3 and 5 are broken: with batches of 2, 2-3 is all bad."""
    (tmp_path / "a").mkdir()
    for index in range(7):
        Image.new("RGB", (8, 8), (index, 0, 0)).save(tmp_path / f"a/{index}.png")
    for index in (2, 3, 5):
        (tmp_path / f"a/{index}.png").write_bytes(b"broken")
    return open_folder(tmp_path)


def test_bad_images_are_left_out_in_order(folder):
    left_out: list[tuple[int, str]] = []
    batches = list(
        prepared_batches(
            folder,
            range(7),
            [SPEC],
            batch_size=2,
            leave_out=lambda index, error: left_out.append((index, str(error))),
        )
    )
    assert [batch.indices for batch in batches] == [(0, 1), (4,), (6,)]
    assert np.array_equal(batches[1].inputs[0][0], prepare(folder.image(4), SPEC))
    assert [index for index, _ in left_out] == [2, 3, 5]
    assert all(f"a/{index}.png" in message for index, message in left_out)


def test_a_bad_image_stops_the_run_without_leave_out(folder):
    with pytest.raises(DatasetError, match=r"a/2\.png"):
        list(prepared_batches(folder, range(7), [SPEC], batch_size=2))


def test_a_picture_that_can_not_be_resized_is_named(tmp_path):
    (tmp_path / "a").mkdir()
    Image.new("RGB", (1, 10000)).save(tmp_path / "a/strip.png")
    spec = square(300)
    with pytest.raises(DatasetError, match=r"^a/strip\.png: .* too elongated"):
        list(prepared_batches(open_folder(tmp_path), [0], [spec], batch_size=1))


def test_the_order_does_not_depend_on_which_thread_is_done_first():
    class Slow(ArrayDataset):
        def image(self, index: int) -> Image.Image:
            time.sleep(0.02 if index % 2 == 0 else 0)
            return super().image(index)

    pixels = np.arange(12, dtype=np.uint8)[:, None, None] * np.ones((1, 8, 8), np.uint8)
    batches = list(
        prepared_batches(Slow(name="slow", images=pixels), range(12), [SPEC], batch_size=5)
    )
    assert [index for batch in batches for index in batch.indices] == list(range(12))
    values = np.concatenate([batch.inputs[0] for batch in batches])[:, 0, 0, 0]
    assert (np.diff(values) > 0).all()


def test_equal_preparations_share_one_array():
    dataset = ArrayDataset(name="one", images=np.zeros((1, 8, 8), np.uint8))
    (batch,) = prepared_batches(dataset, [0], [SPEC, SPEC], batch_size=1)
    assert batch.inputs[0] is batch.inputs[1]


def test_closing_early_ends_the_threads():
    dataset = ArrayDataset(name="many", images=np.zeros((50, 8, 8), np.uint8))
    before = threading.active_count()
    batches = prepared_batches(dataset, range(50), [SPEC], batch_size=5)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def first_values(batch: Batch) -> list[float]:
    return [float(image[0, 0, 0]) for image in batch.inputs[0]]


def test_mapped_batches_come_in_order_and_leave_out_what_is_broken(folder):
    left_out: list[int] = []
    found = list(
        map_batches(
            folder,
            range(7),
            [SPEC],
            first_values,
            batch_size=2,
            workers=3,
            leave_out=lambda index, error: left_out.append(index),
        )
    )
    assert [mapped.indices for mapped in found] == [(0, 1), (4,), (6,)]
    expected = [float(prepare(folder.image(index), SPEC)[0, 0, 0]) for index in (0, 1, 4, 6)]
    assert [value for mapped in found for value in mapped.value] == expected
    assert left_out == [2, 3, 5]
    assert sum(mapped.spent.images for mapped in found) == 4
    assert all(mapped.spent.decoding > 0 for mapped in found)


def test_a_bad_image_stops_the_map_where_it_is(folder):
    found = map_batches(folder, range(7), [SPEC], first_values, batch_size=2, workers=3)
    assert next(found).indices == (0, 1)
    with pytest.raises(DatasetError, match=r"a/2\.png"):
        next(found)


def test_batches_are_mapped_at_the_same_time_and_few_at_a_time():
    dataset = ArrayDataset(name="many", images=np.zeros((50, 8, 8), np.uint8))
    both = threading.Barrier(2, timeout=10)
    begun: list[int] = []

    def meet(batch: Batch) -> None:
        begun.extend(batch.indices)
        both.wait()

    before = threading.active_count()
    found = map_batches(dataset, range(50), [SPEC], meet, batch_size=5, workers=2)
    next(found)
    both.abort()
    found.close()  # type: ignore[attr-defined]
    assert len(begun) <= 20
    assert threading.active_count() == before


def test_an_error_of_the_work_is_raised_behind_what_went_well():
    dataset = ArrayDataset(name="many", images=np.zeros((50, 8, 8), np.uint8))

    def fail(batch: Batch) -> int:
        if 10 in batch.indices:
            raise DatasetError("ten")
        return len(batch.indices)

    found = map_batches(dataset, range(50), [SPEC], fail, batch_size=5, workers=2)
    assert [next(found).value, next(found).value] == [5, 5]
    with pytest.raises(DatasetError, match="ten"):
        next(found)


def test_names(folder):
    assert image_name(folder, 4) == "a/4.png"
    assert image_name(ArrayDataset(name="x", images=np.zeros((1, 8, 8), np.uint8)), 0) == "x[0]"
