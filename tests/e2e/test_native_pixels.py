"""The C++ preprocessing of bundles makes the pixels of Pillow, to the last bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_deploy.data.images import read_image
from resnet_deploy.data.preprocess import prepare
from resnet_deploy.spec import EXPORTED_FORMATS, InputContract, InputFormat
from tests.support.contracts import square
from tests.support.native_pixels import NativePixels

FILTERS = ("nearest", "bilinear", "bicubic", "lanczos")


@pytest.fixture(scope="module")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> NativePixels:
    return NativePixels(tmp_path_factory.mktemp("pixels"))


def test_pixels_are_pillows_at_any_size(pixels: NativePixels) -> None:
    random = np.random.default_rng(0)
    formats = EXPORTED_FORMATS
    for number in range(200):
        height, width = (int(random.integers(1, 300)) for _ in range(2))
        picture = random.integers(0, 256, (height, width, 3), np.uint8)
        spec = replace(
            square(2 * int(random.integers(1, 60)), int(random.integers(1, 120))),
            interpolation=FILTERS[number % len(FILTERS)],
            format=formats[number // len(FILTERS) % len(formats)],
        )
        found = pixels.prepare(picture, spec)
        assert found is not None
        assert found.tobytes() == prepare(Image.fromarray(picture), spec).tobytes(), (
            picture.shape,
            spec,
        )


def test_rows_may_be_apart_and_the_graph_may_resize(pixels: NativePixels) -> None:
    wide = np.random.default_rng(1).integers(0, 256, (33, 60, 3), np.uint8)
    part = wide[:, :41]
    for spec in (
        square(16, 24),
        InputContract(format=InputFormat.UINT8_NHWC, resize_in_graph=True),
    ):
        found = pixels.prepare(part, spec, stride=180)
        assert found is not None
        assert found.tobytes() == prepare(Image.fromarray(part), spec).tobytes()


def test_photos_become_pythons_pixels(pixels: NativePixels, photos: Path) -> None:
    spec = InputContract(format=InputFormat.UINT8_NHWC)
    files = sorted(photos.rglob("*.JPEG"))
    assert len(files) == 125
    for number, file in enumerate(files):
        one = replace(spec, interpolation=FILTERS[1 + number % 3] if number % 2 else "bilinear")
        image = read_image(file)
        found = pixels.prepare(np.asarray(image), one)
        assert found is not None
        assert np.array_equal(found, prepare(image, one)), file.name
