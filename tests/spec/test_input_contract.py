"""The input contract: what each source says, what follows from it, and what stays assumed."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.data.formats import encode, pixels_of
from resnet_deploy.errors import SpecError
from resnet_deploy.spec import (
    FIELDS,
    ChannelOrder,
    InputContract,
    InputFormat,
    InputOptions,
    Learned,
    ResizeMode,
)
from resnet_deploy.spec.input_words import LARGEST_LEVEL, LEAST_STD

USUAL = InputContract.for_size(224).as_assumed()


def said(usual: InputContract = USUAL, **words: object) -> InputContract:
    return InputOptions(**words).over(usual, Learned.OPTION)  # type: ignore[arg-type]


def test_a_range_alone_is_all_that_happens_to_a_pixel() -> None:
    contract = said(range="-1-1")
    assert (contract.range, contract.mean, contract.std) == ((-1.0, 1.0), (0.0,) * 3, (1.0,) * 3)
    assert not {"range", "mean", "std"} & set(contract.assumed)
    black_and_white = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    values = encode(black_and_white, contract)
    assert (values.min(), values.max()) == (-1.0, 1.0)


def test_a_mean_above_1_is_of_grey_levels() -> None:
    contract = said(mean=(103.9, 116.8, 123.7), channel_order="bgr")
    assert (contract.range, contract.std) == ((0.0, 255.0), (1.0,) * 3)
    assert contract.assumed[:1] == ("layout",)
    assert "std" in contract.assumed
    assert "range" not in contract.assumed
    red = np.array([[[255, 0, 0]]], np.uint8)
    np.testing.assert_allclose(
        encode(red, contract).ravel(), [-103.9, -116.8, 255 - 123.7], rtol=1e-6
    )


def test_a_mean_that_contradicts_a_known_range_is_refused() -> None:
    known = InputOptions(range="0-255").over(USUAL, Learned.METADATA)
    with pytest.raises(
        SpecError, match=r"metadata the net takes 0 to 255, and --mean .*say --range"
    ):
        said(known, mean=(0.5, 0.5, 0.5))
    assert said(known, mean=(0.5, 0.5, 0.5), range="0-1").mean == (0.5,) * 3


def test_what_a_graph_takes_may_be_said_in_another_way() -> None:
    signed = InputOptions(range="-1-1").over(USUAL, Learned.GRAPH)
    same = said(signed, mean=0.5, std=0.5)
    assert (same.range, same.mean) == ((0.0, 1.0), (0.5,) * 3)
    with pytest.raises(SpecError, match="by its graph the net takes -1 to 1, and --mean"):
        said(signed, mean=0.4, std=0.5)
    inside = InputOptions(range="0-1").over(USUAL, Learned.GRAPH)
    with pytest.raises(SpecError, match="takes 0 to 1, and --mean and --std say something else"):
        said(inside, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def test_a_std_of_grey_levels_tells_the_scale() -> None:
    unit = said(mean=0.0, std=255.0)
    assert (unit.range, unit.slopes) == ((0.0, 255.0), (255.0,) * 3)
    assert said(std=58.0).range == (0.0, 255.0)
    with pytest.raises(SpecError, match="give both on one scale"):
        said(mean=0.5, std=58.0)


def test_means_belong_to_colours_not_to_places() -> None:
    assert said(channel_order="BGR").mean == USUAL.mean[::-1]
    assert said(said(channel_order="BGR"), channel_order="RGB") == USUAL
    assert said(channel_order="BGR", mean=(0.1, 0.2, 0.3)).mean == (0.1, 0.2, 0.3)


def test_a_squash_goes_straight_to_the_size_unless_something_else_is_said() -> None:
    assert said(resize_mode="squash").resize == (224, 224)
    assert said(resize_mode="squash", resize=256).resize == (256, 256)
    assert said(resize_mode="squash", crop=0.875).resize == (256, 256)
    assert said(crop=0.95).resize == (235, 235)
    assert said(crop=1.0).resize == (224, 224)
    assert said(image_size="48x192").resize == (48, 192)
    assert said(resize_mode="pad", image_size="48x192").sentence.startswith(
        "RGB 0 to 1, padded to 48x192 bilinear, mean"
    )


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"mean": (math.nan, 0.0, 0.0)}, "--mean nan 0 0 must be finite numbers"),
        ({"mean": (0.0, 1e300, 0.0)}, "--mean 0 1e[+]300 0 must be finite numbers"),
        ({"std": (1.0, 1.0, 0.0)}, "--std must be positive, not 0"),
        ({"std": (1.0, 1e-60, 1.0)}, "--std must be positive, not 1e-60"),
        ({"std": (1.0, math.inf, 1.0)}, "--std 1 inf 1 must be finite numbers"),
        ({"range": (0.0, 1e-60)}, "--range 0 to 1e-60 must be two numbers, black below white"),
        ({"range": (-1e308, 1e308)}, "--range -1e[+]308 to 1e[+]308 must be two numbers"),
        ({"range": (math.nan, 1.0)}, "--range nan to 1 must be two numbers"),
        ({"range": (1.0, 0.0)}, "--range 1 to 0 must be two numbers, black below white"),
    ],
    ids=str,
)
def test_numbers_of_no_use_in_float32_are_refused(
    numbers: dict[str, tuple[float, ...]], said: str
) -> None:
    with pytest.raises(SpecError, match=said):
        replace(USUAL, **numbers)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "numbers",
    [
        {"mean": (LARGEST_LEVEL - 1,) * 3},
        {"std": (LEAST_STD,) * 3},
        {"range": (0.0, LEAST_STD)},
        {"range": (1 - LARGEST_LEVEL, LARGEST_LEVEL - 1)},
    ],
    ids=str,
)
def test_numbers_that_are_not_refused_can_be_spelt_in_float32(
    numbers: dict[str, tuple[float, ...]],
) -> None:
    """Bundled code multiplies and divides by all of these."""
    spec = replace(USUAL, **numbers)  # type: ignore[arg-type]
    values = np.array([spec.divisor, *spec.range, *spec.mean, *spec.std, *spec.levels], np.float32)
    divisors = np.array([spec.divisor, *spec.std, *spec.slopes], np.float32)
    assert np.isfinite(values).all()
    assert np.isfinite(1 / divisors).all()
    assert (divisors > 0).all()


def test_bands_are_as_many_as_their_means() -> None:
    bands = InputContract.for_size(32, channels=6).as_assumed()
    assert (bands.channel_order, bands.channels, bands.shape) == (
        ChannelOrder.BANDS,
        6,
        (6, 32, 32),
    )
    assert bands.assumed == ("layout", "size", "range", "mean", "std"), "nothing is resized"
    assert "6 bands" in bands.sentence
    assert said(bands, mean=0.5, std=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6)).mean == (0.5,) * 6
    with pytest.raises(SpecError, match="--mean has 2 numbers, and the input 6 bands"):
        said(bands, mean=(0.5, 0.5))


def test_grey_has_one_channel_and_layout_another_shape() -> None:
    grey = said(channel_order="gray", layout="nhwc")
    assert (grey.channel_order, grey.shape) == (ChannelOrder.GREY, (224, 224, 1))
    assert len(grey.mean) == len(grey.std) == 1
    assert said(grey, channel_order="RGB").mean == USUAL.mean
    assert said(mean=0.5, std=0.25).std == (0.25,) * 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"mean": ()}, "one number a channel"),
        ({"mean": float("nan")}, "finite"),
        ({"std": (0.1, 0.0, 0.1)}, "--std must be positive"),
        ({"range": "0"}, "use 0-1, 0-255, -1-1"),
        ({"range": "1-0"}, "black below white"),
        (
            {"channel_order": "CMYK"},
            "--channel-order 'CMYK' is unknown: use RGB, BGR, grey, RGBA, bands",
        ),
        ({"layout": "CHWN"}, "use NCHW, NHWC"),
        ({"resize": 0}, "at least 1"),
        ({"resize": "9000"}, "at most 8192"),
        ({"resize": "a"}, "is not a size"),
        ({"resize_mode": "stretch"}, "use crop, squash, pad"),
        ({"interpolation": "cubic"}, "use nearest, box, bilinear, bicubic, lanczos"),
        ({"crop": 224.0}, "for pixels use --resize"),
        ({"crop": "whole"}, "is not a share"),
        ({"crop": 5e-324}, "from above 0.0001 to 1"),  # that fits no number of pixels
        ({"layout": "NC\nHW"}, "use NCHW, NHWC"),
        ({"range": ("a", "b")}, "use 0-1, 0-255, -1-1"),
        ({"resize": 32.5}, "at least 1 and at most 8192 pixels, not 32.5"),
        ({"image_size": True}, "not True"),
        ({"crop": 0.9, "resize": 256}, "give one"),
        ({"channel_order": "grey", "mean": (0.1, 0.2, 0.3)}, "3 numbers, and pictures are grey"),
    ],
)
def test_what_says_nothing_is_refused_in_one_line(words: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        InputOptions(**words).over(USUAL, Learned.OPTION)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_every_field_says_where_it_was_learned() -> None:
    assert USUAL.assumed == FIELDS
    assert InputContract().assumed == ()
    contract = InputOptions(mean=0.5, std=0.5).over(USUAL, Learned.CONFIG)
    assert contract.learned["mean"] is Learned.CONFIG
    assert "mean" not in contract.sentence.partition("(")[2]
    assert "--image-size" in contract.assumption("a.onnx")
    # What the graph does itself, no option may say.
    baked = replace(USUAL, format=InputFormat.UINT8_NHWC, resize_in_graph=True)
    assert baked.assumed == ("layout", "size", "channel_order")


def test_where_it_was_learned_changes_no_pixel() -> None:
    assert InputContract.for_size(224) == USUAL
    assert hash(USUAL) == hash(InputContract.for_size(224))


orders = st.sampled_from([order for order in ChannelOrder if order.channels])
scales = st.sampled_from([(0.0, 1.0), (0.0, 255.0), (-1.0, 1.0), (-2.0, 3.0)])
means, stds = st.floats(-2, 2), st.floats(0.1, 3)
forms = st.sampled_from(InputFormat)


@given(order=orders, scale=scales, mean=means, std=stds, form=forms, seed=st.integers(0, 99))
def test_every_way_to_the_input_leads_back_to_the_pixels(
    order: ChannelOrder,
    scale: tuple[float, float],
    mean: float,
    std: float,
    form: InputFormat,
    seed: int,
) -> None:
    channels = order.channels
    assert channels is not None, "bands have none of their own"
    contract = InputContract(
        height=4,
        width=6,
        resize=(4, 6),
        resize_mode=ResizeMode.SQUASH,
        channel_order=order,
        range=scale,
        mean=(mean,) * channels,
        std=(std,) * channels,
        format=form,
    )
    pixels = np.random.default_rng(seed).integers(0, 256, (2, 4, 6, channels), np.uint8)
    inputs = encode(pixels, contract)
    assert inputs.shape[1:] == contract.shape
    np.testing.assert_array_equal(pixels_of(inputs, contract), pixels)
    if form.is_float:
        first = float(inputs[0].reshape(-1)[0])
        channel = 2 if order is ChannelOrder.BGR else 0
        level = float(pixels[0, 0, 0, channel])
        slope, offset = contract.slopes[0], contract.levels[0]
        assert first * slope + offset == pytest.approx(level, abs=1e-3)


@pytest.mark.parametrize(
    "said",
    [
        InputOptions(),
        InputOptions(range="-1-1", channel_order="BGR", layout="NHWC", interpolation="box"),
        InputOptions(image_size="48x192", resize="64x200", mean=0.5, std=(0.25, 0.5, 0.125)),
        InputOptions(range="0-255", mean=(123.5, 116.25, 104.0), std=58, resize_mode="squash"),
    ],
)
def test_what_is_assumed_is_said_by_the_options_that_it_names(said: InputOptions) -> None:
    contract = said.over(InputContract.for_size(224), Learned.ASSUMED)
    words = contract.as_options(FIELDS).split()
    told: dict[str, Any] = {
        name.removeprefix("--").replace("-", "_"): value
        for name, value in zip(words[::2], words[1::2], strict=True)
    }
    told |= {name: tuple(map(float, told[name].split(","))) for name in ("mean", "std")}
    again = InputOptions(**told).over(InputContract.for_size(32), Learned.OPTION)
    assert replace(again, learned=contract.learned) == contract
