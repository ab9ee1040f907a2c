from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from resnet_deploy.quantization.histogram import (
    BINS,
    ENOUGH_VALUES,
    ActivationHistograms,
    Histogram,
    sample_rows,
)
from resnet_deploy.quantization.ranges import choose_range
from resnet_deploy.spec import CalibrationMethod

FLOATS = st.floats(-1e6, 1e6, width=32)
IMAGES = st.lists(arrays(np.float32, st.integers(1, 20), elements=FLOATS), min_size=1, max_size=6)


def learned(images: list[np.ndarray]) -> ActivationHistograms:
    total = ActivationHistograms.of(["a", "b"])
    for image in images:
        total.histograms["a"].add(image)
        total.histograms["b"].add(np.maximum(image, 0))
        total.images += 1
    return total


def state(histograms: ActivationHistograms) -> tuple[object, ...]:
    def counted(histogram: Histogram) -> tuple[object, ...]:
        extremes = (histogram.low, histogram.high)
        return histogram.exponent, histogram.zeros, extremes, histogram.counts.tolist()

    return histograms.images, {
        name: counted(found) for name, found in histograms.histograms.items()
    }


@given(IMAGES, st.integers(0, 6), st.randoms(use_true_random=False))
def test_halves_of_two_processes_merge_into_the_whole(
    images: list[np.ndarray], cut: int, random: object
) -> None:
    shuffled = list(images)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    total = ActivationHistograms.of(["a", "b"])
    for half in (shuffled[:cut], shuffled[cut:]):
        total.merge(ActivationHistograms.from_bytes(learned(half).to_bytes()))
    whole = learned(images)
    assert state(total) == state(whole)
    for name, histogram in total.histograms.items():
        for method in CalibrationMethod:
            assert choose_range(histogram, method) == choose_range(whole.histograms[name], method)


@pytest.mark.parametrize("images", [[], [np.zeros(3, np.float32)]])
def test_nothing_and_zeros_survive(images: list[np.ndarray]) -> None:
    histograms = learned(images)
    assert state(ActivationHistograms.from_bytes(histograms.to_bytes())) == state(histograms)


def test_every_cut_and_every_flipped_byte_is_noticed_or_harmless() -> None:
    histograms = learned([np.array([1, 2], np.float32)])
    data = histograms.to_bytes()
    for cut in range(0, len(data), 7):
        with pytest.raises(ValueError, match="no histograms"):
            ActivationHistograms.from_bytes(data[:cut])
    for place in range(0, len(data), 11):
        damaged = bytearray(data)
        damaged[place] ^= 0x55
        try:
            assert state(ActivationHistograms.from_bytes(bytes(damaged))) == state(histograms)
        except ValueError:
            continue


def stored(**changed: np.ndarray) -> bytes:
    """Return histograms of one tensor, with arrays ``changed``."""
    with np.load(io.BytesIO(learned([np.ones(3, np.float32)]).to_bytes())) as file:
        arrays = {name: file[name] for name in file.files}
    stream = io.BytesIO()
    np.savez_compressed(stream, **{**arrays, **changed})
    return stream.getvalue()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"counts": np.zeros((20_000, BINS), np.int8)}, "of at most"),
        ({"exponents": np.zeros(5_000_000)}, "of at most"),
        ({"zeros": np.zeros((1000, 1000), np.int8)}, "of at most"),
        ({"images": np.zeros(10_000_000)}, "of at most"),
        ({"names": np.array(["x" * 1000, *"abc"] * 2000)}, "of at most"),
        ({"names": np.array([str(number) for number in range(10_000)])}, "10000 tensors"),
        ({"names": np.array(["a", "a"])}, "two of one name"),
        ({"counts": np.full((2, BINS), -1)}, "below zero"),
        ({"exponents": np.array([10.0**9, 0])}, "no float32"),
        ({"exponents": np.array([np.inf, 0])}, "no float32"),
        ({"counts": np.zeros((2, BINS))}, "float64"),
    ],
)
def test_arrays_are_bounded_before_they_are_read(changed: dict[str, np.ndarray], said: str) -> None:
    with pytest.raises(ValueError, match=f"no histograms.*{said}"):
        ActivationHistograms.from_bytes(stored(**changed))


def test_pickles_are_never_loaded() -> None:
    stream = io.BytesIO()
    np.savez(stream, names=np.array([{"a": 1}], object))
    with pytest.raises(ValueError, match="no histograms"):
        ActivationHistograms.from_bytes(stream.getvalue())


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
