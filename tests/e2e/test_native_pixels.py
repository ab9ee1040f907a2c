"""The C++ preprocessing of bundles makes the pixels of Pillow, to the last bit."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_deploy.data.images import read_image
from resnet_deploy.data.preprocess import prepare
from resnet_deploy.spec import ChannelOrder, InputContract, InputFormat, ResizeMode
from resnet_deploy.spec.input_words import INTERPOLATIONS
from tests.support.contracts import drawn, in_grey, square
from tests.support.native_pixels import NativePixels


@pytest.fixture(scope="module")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> NativePixels:
    return NativePixels(tmp_path_factory.mktemp("pixels"))


def test_pixels_are_pillows_at_any_size_and_contract(pixels: NativePixels) -> None:
    random = np.random.default_rng(0)
    for number in range(400):
        height, width = (int(random.integers(1, 300)) for _ in range(2))
        picture = random.integers(0, 256, (height, width, 3), np.uint8)
        spec = drawn(random, largest=120)
        if number % 10 == 0:  # nothing to resize
            spec = replace(spec, resize=(height, width))
        found = pixels.prepare(picture, spec)
        assert found is not None
        assert found.tobytes() == prepare(Image.fromarray(picture), spec).tobytes(), (
            picture.shape,
            spec,
        )


def test_one_pixel_may_miss_the_centre(pixels: NativePixels) -> None:
    """A strip that is fitted into a wide area is one column, and the crop may be beside it."""
    random = np.random.default_rng(2)
    for height, columns, crop in itertools.product((1, 40, 2000), (3, 4, 7, 8), (1, 2, 3, 9)):
        spec = replace(
            square(crop, form=InputFormat.UINT8_NHWC),
            resize=(columns, columns),
            resize_mode=ResizeMode.PAD,
        )
        picture = random.integers(1, 256, (height, 1, 3), np.uint8)
        found = pixels.prepare(picture, spec)
        assert found is not None
        assert np.array_equal(found, prepare(Image.fromarray(picture), spec)), (spec, height)


def test_rows_may_be_apart_and_the_graph_may_resize(pixels: NativePixels) -> None:
    wide = np.random.default_rng(1).integers(0, 256, (33, 60, 3), np.uint8)
    part = wide[:, :41]
    whole = InputContract(format=InputFormat.UINT8_NHWC, resize_in_graph=True)
    for spec in (
        square(16, 24),
        in_grey(square(16, 24)),
        whole,
        replace(whole, channel_order=ChannelOrder.BGR),
        in_grey(whole),
    ):
        found = pixels.prepare(part, spec, stride=180)
        assert found is not None
        assert found.tobytes() == prepare(Image.fromarray(part), spec).tobytes()


def test_photos_become_pythons_pixels(pixels: NativePixels, photos: Path) -> None:
    spec = InputContract(format=InputFormat.UINT8_NHWC)
    files = sorted(photos.rglob("*.JPEG"))
    assert len(files) == 125
    for number, file in enumerate(files):
        one = replace(spec, interpolation=INTERPOLATIONS[1 + number % 4])
        image = read_image(file)
        found = pixels.prepare(np.asarray(image), one)
        assert found is not None
        assert np.array_equal(found, prepare(image, one)), file.name
