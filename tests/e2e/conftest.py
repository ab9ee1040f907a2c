"""The real network of the bundles' end-to-end tests, made once, and pictures to compare it on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from resnet_deploy import api
from resnet_deploy.bundles.golden import Pixels
from resnet_deploy.data.datasets import open_dataset
from resnet_deploy.data.sampling import spread_sample
from resnet_deploy.data.synthetic import synthetic_images
from tests.conftest import SHARED_DATA, Maker

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""What the network tells apart."""

_REAL = Path(os.environ.get("RESNET_DEPLOY_TEST_DATA", SHARED_DATA))


@pytest.fixture(scope="session")
def resnet20_export(made_once: Callable[[str, Maker], Path]) -> Path:
    """A folder with ``resnet20.onnx`` and ``resnet20.int8.onnx`` that take the bytes of pixels.

    The weights are those in the box. Tests must not change it.
    """
    return made_once(
        "resnet20",
        lambda folder: api.deploy(api.load("cifar10"), folder, input="uint8-nhwc").check(),
    )


@pytest.fixture(scope="session")
def cifar_pictures(request: pytest.FixtureRequest) -> Pixels:
    """200 RGB pictures, ``(200, 32, 32, 3)``: CIFAR-10 test images, or made up without them."""
    if not _REAL.is_dir():
        return synthetic_images(200, 32, 0)
    dataset = open_dataset(request.getfixturevalue("cifar10_test"))
    return np.stack([np.asarray(dataset.image(at)) for at in spread_sample(dataset, 200, 0)])
