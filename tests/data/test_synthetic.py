from __future__ import annotations

import hashlib

import numpy as np
import pytest

from resnet_deploy.data.synthetic import SyntheticDataset, synthetic_images
from resnet_deploy.errors import DatasetError


def test_the_same_bytes_everywhere():
    images = synthetic_images(4, 32, seed=7)
    assert images.shape == (4, 32, 32, 3)
    # Written on x86-64 with numpy 2.4; another machine must agree.
    assert hashlib.sha256(images.tobytes()).hexdigest() == (
        "bf14bf0bcb53dd96c7ebb7e9d0ce3b19b084f6ea7537d011a97989fcfaa1e653"
    )


def test_a_picture_depends_on_seed_and_place_only():
    assert np.array_equal(synthetic_images(2, 24, 0), synthetic_images(5, 24, 0)[:2])
    assert not np.array_equal(synthetic_images(2, 24, 0), synthetic_images(2, 24, 1))
    assert len({image.tobytes() for image in synthetic_images(8, 24, -3)}) == 8


def test_statistics_are_those_of_photos():
    images = synthetic_images(16, 96, 0).astype(float)
    assert 90 < images.mean() < 150
    assert 45 < images.std() < 80
    neighbours = np.corrcoef(images[:, :, 1:].ravel(), images[:, :, :-1].ravel())[0, 1]
    assert neighbours > 0.95
    colours = np.corrcoef(images[..., 0].ravel(), images[..., 2].ravel())[0, 1]
    assert 0.3 < colours < 0.97


@pytest.mark.parametrize("size", [1, 2, 3, 33])
def test_any_size(size):
    assert synthetic_images(2, size, 0).shape == (2, size, size, 3)


def test_dataset():
    dataset = SyntheticDataset(count=3, image_size=16, seed=5)
    assert (len(dataset), dataset.labelled) == (3, False)
    assert np.array_equal(np.asarray(dataset.image(2)), synthetic_images(3, 16, 5)[2])
    assert dataset.fingerprint() != SyntheticDataset(count=3, image_size=16).fingerprint()
    with pytest.raises(DatasetError, match="no labels"):
        dataset.label(0)
