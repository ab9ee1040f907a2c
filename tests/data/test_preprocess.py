from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, save_model
from PIL import Image

from resnet_deploy.artifact import onnx_file as artifact
from resnet_deploy.data.images import read_image
from resnet_deploy.data.preprocess import input_preprocess, prepare
from resnet_deploy.errors import DatasetError, SpecError, UnsupportedGraphError
from resnet_deploy.spec import IMAGENET_MEAN, IMAGENET_STD, InputContract
from tests.support.contracts import square
from tests.support.tiny_model import colour_model, save_colour_model


def _triangle_weights(size: int, new_size: int) -> np.ndarray:
    """Antialiased linear interpolation as a matrix ``(new_size, size)``, in float64."""
    scale = size / new_size
    support = max(scale, 1.0)
    matrix = np.zeros((new_size, size))
    for row in range(new_size):
        centre = (row + 0.5) * scale
        low, high = int(centre - support + 0.5), int(centre + support + 0.5)
        for column in range(max(low, 0), min(high, size)):
            matrix[row, column] = max(0.0, 1 - abs((column + 0.5 - centre) / support))
    matrix /= matrix.sum(axis=1, keepdims=True)
    return matrix


def _resized(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear, antialiased, rounded to 8 bits after each direction as Pillow does."""
    across = np.einsum("xw,hwc->hxc", _triangle_weights(pixels.shape[1], width), pixels)
    across = np.floor(across + 0.5)
    down: np.ndarray = np.einsum("yh,hxc->yxc", _triangle_weights(len(pixels), height), across)
    return np.floor(down + 0.5)


def _torchvision(pixels: np.ndarray, spec: InputContract) -> np.ndarray:
    """Resize, CenterCrop, ToTensor, Normalize in float64, of a net with square inputs."""
    height, width = pixels.shape[:2]
    short, long = (width, height) if width <= height else (height, width)
    new_short, new_long = spec.resize[0], int(spec.resize[0] * long / short)
    new_width, new_height = (new_short, new_long) if width <= height else (new_long, new_short)
    if (new_height, new_width) != (height, width):
        pixels = _resized(pixels.astype(float), new_height, new_width)
    pad = [(max(spec.height - size, 0)) for size in pixels.shape[:2]]
    framing = [(p // 2, math.ceil(p / 2)) for p in pad]
    pixels = np.pad(pixels, [*framing, (0, 0)])
    top = round((pixels.shape[0] - spec.height) / 2.0)
    left = round((pixels.shape[1] - spec.height) / 2.0)
    pixels = pixels[top : top + spec.height, left : left + spec.height]
    return ((pixels / 255 - spec.mean) / spec.std).transpose(2, 0, 1)


def _picture(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(width * 1000 + height)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    resize=st.integers(1, 40),
    crop=st.integers(1, 50),
)
def test_equals_torchvision(width, height, resize, crop):
    image = _picture(width, height)
    spec = square(crop, resize)
    tensor = prepare(image, spec)
    assert tensor.dtype == np.float32
    assert tensor.shape == (3, crop, crop)
    difference = np.abs(tensor - _torchvision(np.asarray(image), spec)) * 255 * IMAGENET_STD[0]
    # Pillow's weights have 22 bits: a value halfway between two may round the other way.
    assert difference.max() < 1.1


@pytest.mark.parametrize(("width", "height"), [(33, 32), (32, 33), (35, 32), (32, 37)])
def test_odd_rests_are_cropped_as_torchvision_rounds(width, height):
    image = _picture(width, height)
    spec = square(32)
    expected = _torchvision(np.asarray(image), spec)
    np.testing.assert_allclose(prepare(image, spec), expected, atol=1e-6)


def test_right_size_is_only_normalised():
    image = _picture(32, 32)
    expected = (np.asarray(image) / 255 - IMAGENET_MEAN) / IMAGENET_STD
    tensor = prepare(image, InputContract.for_size(32))
    np.testing.assert_allclose(tensor, expected.transpose(2, 0, 1), atol=1e-6)
    assert tensor.flags.c_contiguous


def test_real_photos_equal_torchvision(photos: Path):
    spec = InputContract()
    for path in sorted(photos.rglob("*.JPEG"))[::25]:
        image = read_image(path)
        difference = np.abs(prepare(image, spec) - _torchvision(np.asarray(image), spec))
        assert difference.max() * 255 * IMAGENET_STD[0] < 1.1
        assert difference.mean() * 255 < 0.01


def test_small_pictures_are_framed_in_black():
    tensor = prepare(Image.new("RGB", (2, 2), "white"), square(5, 2))
    black = ((0 - np.array(IMAGENET_MEAN)) / IMAGENET_STD)[:, None]
    np.testing.assert_allclose(tensor[:, 0], np.repeat(black, 5, axis=1), rtol=1e-6)
    assert (tensor[0] > 0).sum() == 4
    assert tensor[0, 1:3, 1:3].min() > 0


def test_interpolations():
    image = _picture(40, 40)
    results = [
        prepare(image, InputContract(resize=(16, 16), height=16, width=16, interpolation=name))
        for name in ("nearest", "box", "bilinear", "bicubic", "lanczos")
    ]
    assert len({result.tobytes() for result in results}) == 5
    with pytest.raises(SpecError, match="'cubic' is unknown"):
        prepare(image, InputContract(interpolation="cubic"))


def test_a_thin_strip_does_not_fill_the_memory():
    with pytest.raises(DatasetError, match="too elongated"):
        prepare(Image.new("RGB", (1, 50_000)), InputContract())


def _artifact(path: Path, shape: tuple[int | str, ...], dtype: int = TensorProto.FLOAT):
    save_model(colour_model(shape=shape, dtype=dtype), path)
    return artifact.load(path)


def test_input_preprocess_comes_from_the_card(tmp_path):
    spec = square(8, 10)
    assert input_preprocess(save_colour_model(tmp_path / "a.onnx", preprocess=spec)) == spec
    foreign = _artifact(tmp_path / "b.onnx", ("N", 3, 96, 96))
    assert input_preprocess(foreign) == InputContract.for_size(96)


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        (("N", 4, 8, 8), TensorProto.FLOAT, r"shape \[4, 8, 8\], but.*say --layout"),
        (("N", 3, 8, 8), TensorProto.INT8, "takes int8 input 'input'"),
    ],
)
def test_inputs_that_are_no_pictures_are_refused(tmp_path, shape, dtype, message):
    with pytest.raises(UnsupportedGraphError, match=message):
        input_preprocess(_artifact(tmp_path / "a.onnx", shape, dtype))
