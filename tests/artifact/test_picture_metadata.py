"""What other exporters write into a file about the pictures that its net takes."""

from __future__ import annotations

import json

import pytest

from resnet_deploy.artifact.picture_metadata import picture_metadata
from resnet_deploy.spec import InputOptions, ResizeMode


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("[32, 32]", (32, 32)),
        ("224", (224, 224)),
        ("(64, 64)", (64, 64)),
        ("[48, 192]", (48, 192)),
        ("[3, 48, 192]", (48, 192)),
        ("48x192", (48, 192)),
        ("[]", None),
        ("[[3]]", None),
        ("true", None),
        ("1e3", None),
        ("{}", None),
        ("[32, '32']", None),
        ("[1, 2, 3, 4]", None),
    ],
)
def test_the_size_of_pictures(text: str, size: tuple[int, int] | None) -> None:
    found = picture_metadata({"imgsz": text})
    assert found.options == InputOptions(image_size=size)
    assert found.notices == ()


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("Image.BitmapPixelFormat", "Bgr8", InputOptions(channel_order="BGR")),
        ("image.bitmappixelformat", "RGB8", InputOptions(channel_order="RGB")),
        ("Image.BitmapPixelFormat", "Gray8", InputOptions(channel_order="grey")),
        ("Image.NominalPixelRange", "NominalRange_0_255", InputOptions(range="0-255")),
        ("Image.NominalPixelRange", "Normalized_0_1", InputOptions(range="0-1")),
        ("Image.NominalPixelRange", "NORMALIZED_1_1", InputOptions(range="-1-1")),
        ("Image.NominalPixelRange", "NominalRange_16_235", InputOptions(range="16-235")),
        ("Image.ColorSpaceGamma", "SRGB", InputOptions()),
    ],
)
def test_the_standards_image_metadata(key: str, value: str, expected: InputOptions) -> None:
    found = picture_metadata({key: value})
    assert (found.options, found.notices) == (expected, ())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Image.BitmapPixelFormat", "Rgba8"),
        ("Image.ColorSpaceGamma", "Linear"),
        ("Image.NominalPixelRange", "NominalRange_64_940"),
    ],
)
def test_what_cannot_be_done_is_said(key: str, value: str) -> None:
    found = picture_metadata({key: value})
    assert found.options == InputOptions()
    (notice,) = found.notices
    assert key in notice
    assert value.lower() in notice


@pytest.mark.parametrize(
    ("denotations", "layout"),
    [
        (["DATA_BATCH", "DATA_CHANNEL", "DATA_FEATURE", "DATA_FEATURE"], "NCHW"),
        (["DATA_BATCH", "DATA_FEATURE", "DATA_FEATURE", "DATA_CHANNEL"], "NHWC"),
        (["DATA_CHANNEL", "", "", ""], None),
        (["", "", "", ""], None),
        ([], None),
    ],
)
def test_denotations_of_dimensions(denotations: list[str], layout: str | None) -> None:
    assert picture_metadata({}, denotations).options == InputOptions(layout=layout)


ULTRALYTICS = {
    "author": "Ultralytics",
    "description": "Ultralytics YOLO11n-cls model trained on imagenet",
    "task": "classify",
    "imgsz": "[224, 224]",
    "stride": "1",
    "batch": "1",
    "names": "{0: 'a', 1: 'b'}",
    "channels": "3",
}


def test_ultralytics_classifiers_have_one_way_to_prepare_pictures() -> None:
    assert picture_metadata(ULTRALYTICS).options == InputOptions(
        channel_order="RGB",
        range="0-1",
        resize_mode="crop",
        interpolation="bilinear",
        crop=1.0,
        image_size=224,
    )
    squashed = picture_metadata({**ULTRALYTICS, "imgsz": "[48, 192]"}).options
    assert squashed.resize_mode is ResizeMode.SQUASH


def test_others_that_name_a_task_prepare_pictures_in_their_own_way() -> None:
    plain = {key: value for key, value in ULTRALYTICS.items() if key in ("task", "imgsz", "names")}
    assert picture_metadata(plain).options == InputOptions(image_size=224)
    detector = {**ULTRALYTICS, "task": "detect"}
    assert picture_metadata(detector).options == InputOptions(image_size=224)


@pytest.mark.parametrize(
    "metadata",
    [
        {
            "mean": "[0.5, 0.4, 0.3]",
            "std": "0.2, 0.2, 0.1",
            "input_size": "(3, 240, 240)",
            "interpolation": "bicubic",
            "crop_pct": "0.95",
        },
        {
            "pretrained_cfg": json.dumps(
                {
                    "mean": [0.5, 0.4, 0.3],
                    "std": [0.2, 0.2, 0.1],
                    "input_size": [3, 240, 240],
                    "interpolation": "bicubic",
                    "crop_pct": 0.95,
                    "crop_mode": None,
                    "tag": "a1_in1k",
                }
            )
        },
        {
            "preprocessor_config": json.dumps(
                {
                    "image_mean": [0.5, 0.4, 0.3],
                    "image_std": [0.2, 0.2, 0.1],
                    "size": {"shortest_edge": 240},
                    "resample": 3,
                    "crop_pct": 0.95,
                }
            )
        },
    ],
)
def test_words_of_timm_and_transformers(metadata: dict[str, str]) -> None:
    found = picture_metadata(metadata)
    assert found.notices == ()
    options = found.options
    assert (options.mean, options.std) == ((0.5, 0.4, 0.3), (0.2, 0.2, 0.1))
    assert (options.interpolation, options.crop) == ("bicubic", 0.95)
    assert options.image_size == (240, 240)


def test_sizes_of_transformers() -> None:
    squash = {"preprocessor_config": '{"size": {"height": 48, "width": 192}}'}
    assert picture_metadata(squash).options == InputOptions(
        image_size=(48, 192), resize_mode="squash"
    )
    crop = {
        "do_center_crop": True,
        "size": {"shortest_edge": 256},
        "crop_size": {"height": 224, "width": 224},
        "do_normalize": False,
    }
    assert picture_metadata({"preprocessor_config": json.dumps(crop)}).options == InputOptions(
        image_size=224, resize=256, range="0-1"
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mean", "[]"),
        ("mean", "['a', 'b', 'c']"),
        ("std", "[0, 1, 1]"),
        ("std", "[1e400, 1, 1]"),
        ("crop_pct", "1.5"),
        ("range", "five"),
        ("range", "[255, 0]"),
        ("imgsz", "99999999"),
        ("imgsz", "0"),
        ("imgsz", "-3"),
    ],
)
def test_values_that_mean_nothing_are_ignored_with_a_word(key: str, value: str) -> None:
    found = picture_metadata({key: value, "layout": "NHWC"})
    assert found.options == InputOptions(layout="NHWC")
    (notice,) = found.notices
    assert "which is ignored" in notice
    assert "\n" not in notice
    assert len(notice) < 300


@pytest.mark.parametrize(
    "metadata",
    [
        {"mean": "9" * 2_000_000},
        {"mean": "[" * 100_000},
        {"preprocessor_config": "[1, 2]"},
        {"preprocessor_config": '{"size": [], "crop_size": {"height": "a"}}'},
        {"preprocessor_config": '{"pretrained_cfg": 3}'},
        {"author": "Ultralytics" * 100_000, "task": "classify", "imgsz": "x"},
        {"interpolation": "random", "layout": "NCDHW", "channel_order": "YUV", "names": "[]"},
        {"": "", "mean": "", "MEAN": "\x00"},
    ],
)
def test_hostile_values_are_bounded(metadata: dict[str, str]) -> None:
    found = picture_metadata(metadata)
    assert found.options.mean is None
    assert all(len(notice) < 300 for notice in found.notices)
