import numpy as np
import pytest

from resnet_deploy.quantization.histogram import ENOUGH_VALUES, sample_rows


@pytest.mark.parametrize(
    "shape", [(2, 64, 112, 112), (1, 64, 56, 56), (3, 256, 56, 56), (1, 50, 1000), (1, 8, 7, 8191)]
)
def test_large_tensors_give_about_enough_values(shape: tuple[int, ...]) -> None:
    sample = sample_rows(np.zeros(shape, np.float32))
    assert ENOUGH_VALUES / 2 <= sample[0].size <= ENOUGH_VALUES + shape[-1]


@pytest.mark.parametrize("shape", [(2, 16, 32, 32), (4, 100_000), (3, 7)])
def test_small_tensors_and_vectors_are_whole(shape: tuple[int, ...]) -> None:
    values = np.zeros(shape, np.float32)
    assert sample_rows(values) is values


def test_every_row_of_the_image_is_taken_equally_often() -> None:
    height = np.broadcast_to(np.arange(56, dtype=np.float32)[:, None], (2, 64, 56, 56))
    rows, taken = np.unique(sample_rows(height), return_counts=True)
    assert len(rows) == 56
    assert taken.max() <= 1.2 * taken.min()


def test_an_image_gives_the_same_rows_alone_and_in_a_batch() -> None:
    values = np.random.default_rng(0).standard_normal((3, 32, 60, 60)).astype(np.float32)
    batch = sample_rows(values)
    for image, sample in zip(values, batch, strict=True):
        assert np.array_equal(sample_rows(image[None])[0], sample)
