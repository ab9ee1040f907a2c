from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from resnet_deploy.data.preprocess import prepare
from resnet_deploy.data.synthetic import synthetic_images
from resnet_deploy.errors import SpecError, UnsupportedGraphError
from resnet_deploy.rewrites.resize_front import (
    check_resizable,
    front_alone,
    resize_front,
    without_front,
)
from resnet_deploy.runners.ort_runner import open_session
from resnet_deploy.spec import InputContract, InputFormat, SessionSpec
from tests.support.contracts import square
from tests.support.graphs import noise, parse, run

BYTES = square(32, 40, form=InputFormat.UINT8_NHWC)
SESSIONS: dict[InputContract, Any] = {}


def resized(picture: np.ndarray, spec: InputContract) -> np.ndarray:
    if spec not in SESSIONS:
        SESSIONS[spec] = open_session(front_alone(spec).SerializeToString(), SessionSpec(threads=1))
    found: np.ndarray = SESSIONS[spec].run(None, {"input": picture[None]})[0][0]
    return found


@given(height=st.integers(8, 150), width=st.integers(8, 150), seed=st.integers(0, 99))
@pytest.mark.parametrize(("resize", "crop"), [(40, 32), (39, 32), (32, 32), (33, 32)])
def test_pictures_of_any_size_come_out_as_from_pillow(
    resize: int, crop: int, height: int, width: int, seed: int
) -> None:
    spec = replace(BYTES, resize=(resize, resize), height=crop, width=crop)
    photo = Image.fromarray(synthetic_images(1, 64, seed)[0]).resize((width, height))
    noisy = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)

    # A value that is two levels off is rare: 4 of 3,000 pictures of white noise have one, and
    # smooth ones where they are enlarged. Export compares on its own pictures and refuses it.
    for picture in (np.asarray(photo), noisy):
        expected = prepare(Image.fromarray(picture), spec).astype(int)
        off = np.abs(resized(picture, spec).astype(int) - expected)
        assert off.max() <= 2
        assert (off > 1).mean() <= 1e-3


def small() -> Any:
    text = """
    g (uint8[N,32,32,3] x) => (float[N,32,32,3] y) {
      f = Cast<to=1>(x)
      y = Mul(f, w)
    }
    """
    return parse(text, {"w": noise(3)}, opset=18)


def test_the_rest_of_the_graph_stays_as_it_is() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (2, 50, 60, 3)).astype(np.uint8)

    whole = resize_front(small(), BYTES)

    expected = run(small(), np.stack([resized(image, BYTES) for image in picture]))
    np.testing.assert_array_equal(run(whole, picture), expected)
    assert [node.op_type for node in without_front(whole).graph.node] == ["Cast", "Mul"]
    assert without_front(small()) is not None


def test_an_old_operator_set_is_refused() -> None:
    model = parse("g (uint8[N,32,32,3] x) => (uint8[N,32,32,3] y) { y = Identity(x) }")
    with pytest.raises(UnsupportedGraphError, match="needs opset 18"):
        resize_front(model, BYTES)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (square(32, 40), "add --input uint8-nhwc"),
        (replace(BYTES, resize=(20, 20)), "can't pad an image"),
        (replace(BYTES, interpolation="lanczos"), "lanczos"),
    ],
)
def test_what_the_graph_cannot_do_is_refused(spec: InputContract, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        check_resizable(spec)
