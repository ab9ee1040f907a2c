"""Inputs of more channels than pictures have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resnet_deploy.data.arrays import array_dataset
from resnet_deploy.data.bands import prepare_bands
from resnet_deploy.data.calibration import calibration_images, synthetic_calibration
from resnet_deploy.data.datasets import open_dataset
from resnet_deploy.errors import DatasetError
from resnet_deploy.spec import InputContract, InputFormat


def _spec(form: InputFormat = InputFormat.FLOAT_NCHW) -> InputContract:
    usual = InputContract.for_size(8, 10, channels=6)
    return replace(usual, mean=(0.5,) * 6, std=(0.25,) * 6, format=form)


@pytest.mark.parametrize("first", [True, False])
def test_bytes_are_normalised_and_floats_are_not(tmp_path: Path, first: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 10, 6), np.uint8)
    values = pixels.astype(np.float32) / 100
    for array, name in ((pixels, "b"), (values, "f")):
        np.save(tmp_path / f"{name}.npy", array.transpose(0, 3, 1, 2) if first else array)
        np.savez(tmp_path / f"{name}.npz", images=array, labels=[0, 1, 2])
    spec = InputContract.for_size(8, 10, channels=6)
    for suffix in ("npy", "npz"):
        floats = open_dataset(tmp_path / f"f.{suffix}")
        np.testing.assert_array_equal(prepare_bands(floats, 1, spec), values[1].transpose(2, 0, 1))
        codes = open_dataset(tmp_path / f"b.{suffix}")
        np.testing.assert_allclose(
            prepare_bands(codes, 1, spec), pixels[1].transpose(2, 0, 1) / np.float32(255)
        )
    images = calibration_images(tmp_path / "f.npz", spec, samples=3)
    assert [batch.shape for batch in images] == [(3, 6, 8, 10)]


@pytest.mark.parametrize("form", [InputFormat.FLOAT_NCHW, InputFormat.FLOAT_NHWC])
def test_synthetic_bands_have_the_right_shape(form: InputFormat) -> None:
    spec = _spec(form)
    (batch,) = synthetic_calibration(spec, samples=2)
    assert batch.shape == (2, *spec.shape)
    assert not np.array_equal(batch[0], batch[1])


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    arrays = array_dataset("a.npz", np.zeros((2, 8, 8, 5), np.uint8), None)
    with pytest.raises(DatasetError, match=r"holds arrays of shape \[8, 8, 5\], and the network"):
        prepare_bands(arrays, 0, _spec())
    with pytest.raises(DatasetError, match="holds arrays of 5 channels, and the network takes pic"):
        arrays.image(0)
    floats = array_dataset("f.npz", np.zeros((2, 8, 10, 6), np.float32), None)
    with pytest.raises(DatasetError, match="and the file takes bytes: give uint8 arrays"):
        prepare_bands(floats, 0, _spec(InputFormat.UINT8_NHWC))
    np.save(tmp_path / "nan.npy", np.full((2, 8, 10, 6), np.nan, np.float32))
    with pytest.raises(DatasetError, match="NaN or infinite"):
        open_dataset(tmp_path / "nan.npy")
    (tmp_path / "cut.npy").write_bytes((tmp_path / "nan.npy").read_bytes()[:100])
    with pytest.raises(DatasetError, match="is not a readable"):
        open_dataset(tmp_path / "cut.npy")
