from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.data.formats import convert, encode, pixels_of
from resnet_deploy.errors import SpecError
from resnet_deploy.spec import InputFormat
from tests.support.contracts import square

SMALL = square(6)


def pictures(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (2, 6, 6, 3)).astype(np.uint8)


def every_level() -> np.ndarray:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    return np.repeat(levels, 3, axis=3)


@pytest.mark.parametrize("source", InputFormat)
@pytest.mark.parametrize("target", InputFormat)
def test_every_format_becomes_every_other_exactly(source: InputFormat, target: InputFormat) -> None:
    own, other = (replace(SMALL, format=kind) for kind in (source, target))
    inputs = encode(pictures(), own)

    assert (convert(inputs, own, other) == encode(pictures(), other)).all()
    assert inputs.shape[1:] == own.shape


@given(st.tuples(*[st.floats(0.0, 1.0)] * 3), st.tuples(*[st.floats(0.01, 2.0)] * 3))
def test_normalised_floats_give_all_grey_levels_back(
    mean: tuple[float, float, float], std: tuple[float, float, float]
) -> None:
    spec = replace(SMALL, mean=mean, std=std)

    assert (pixels_of(encode(every_level(), spec), spec) == every_level()).all()


def test_blocks_hold_their_pixels_row_by_row() -> None:
    pixels = pictures()

    blocks = encode(pixels, replace(SMALL, format=InputFormat.UINT8_S2D))

    corner = [pixels[0, 2, 4], pixels[0, 2, 5], pixels[0, 3, 4], pixels[0, 3, 5]]
    assert (blocks[0, 1, 2] == np.concatenate(corner)).all()


def test_blocks_need_an_even_size() -> None:
    spec = replace(SMALL, format=InputFormat.UINT8_S2D)
    with pytest.raises(SpecError, match=r"even image size, not 5x6.*uint8-nhwc"):
        encode(pictures()[:, :5], spec)


def test_floats_that_are_no_picture_become_the_nearest_one() -> None:
    spec = replace(SMALL, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    values = np.full((1, 3, 1, 1), 2.0, np.float32)

    assert (pixels_of(values, spec) == 255).all()
    assert (pixels_of(-values, spec) == 0).all()
