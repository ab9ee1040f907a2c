"""transformers' preprocessor_config.json, by the class of the processor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from resnet_deploy.errors import CheckpointError
from resnet_deploy.loading.preprocessor_config import Pictures, preprocessor_beside
from resnet_deploy.spec import ChannelOrder, InputContract, Learned, ResizeMode

USUAL = {
    "do_resize": True,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.25, 0.3],
    "resample": 3,
}


def read(folder: Path, wanted: int | None = None, **fields: Any) -> Pictures:
    content = {key: value for key, value in {**USUAL, **fields}.items() if value != "missing"}
    (folder / "preprocessor_config.json").write_text(json.dumps(content))
    found = preprocessor_beside(folder, wanted)
    assert found is not None
    return found


def contract(folder: Path, wanted: int | None = None, **fields: Any) -> InputContract:
    found = read(folder, wanted, **fields)
    usual = InputContract.for_size(wanted or found.size or 224).as_assumed()
    return found.options.over(usual, Learned.CONFIG)


CONVNEXT = "ConvNextImageProcessor"


@pytest.mark.parametrize(
    ("fields", "wanted", "sentence"),
    [
        (
            {"image_processor_type": CONVNEXT, "size": {"shortest_edge": 224}, "crop_pct": 0.875},
            None,
            "shorter side 256 bicubic, centre 224",
        ),
        (
            {"feature_extractor_type": "ConvNextFeatureExtractor", "size": 224, "crop_pct": 0.95},
            None,
            "shorter side 235 bicubic, centre 224",
        ),
        (
            {"image_processor_type": f"{CONVNEXT}Fast", "size": {"shortest_edge": 224}},
            None,
            "shorter side 256 bicubic, centre 224",
        ),
        (
            {"image_processor_type": CONVNEXT, "size": {"shortest_edge": 384}},
            None,
            "squashed to 384x384 bicubic",
        ),
        (
            {"image_processor_type": CONVNEXT, "size": {"shortest_edge": 224}},
            288,
            "shorter side 329 bicubic, centre 288",
        ),
        (
            {"image_processor_type": CONVNEXT, "size": {"shortest_edge": 224}},
            384,
            "squashed to 384x384 bicubic",
        ),
        (
            {"image_processor_type": "ViTImageProcessor", "size": 224},
            None,
            "squashed to 224x224 bicubic",
        ),
        (
            {"image_processor_type": "ViTImageProcessor", "size": {"height": 96, "width": 96}},
            None,
            "squashed to 96x96 bicubic",
        ),
        (
            {
                "image_processor_type": "DeiTImageProcessor",
                "size": {"height": 256, "width": 256},
                "do_center_crop": True,
                "crop_size": {"height": 224, "width": 224},
            },
            None,
            "squashed to 256x256 bicubic, centre 224",
        ),
        (
            {
                "image_processor_type": "CLIPImageProcessor",
                "size": 224,
                "do_center_crop": True,
                "crop_size": 224,
            },
            None,
            "shorter side 224 bicubic, centre 224",
        ),
        (
            {
                "image_processor_type": "BitImageProcessor",
                "size": {"shortest_edge": 256},
                "do_center_crop": True,
                "crop_size": {"height": 224, "width": 224},
            },
            None,
            "shorter side 256 bicubic, centre 224",
        ),
        (
            {
                "image_processor_type": "BitImageProcessor",
                "size": {"shortest_edge": 256},
                "do_center_crop": True,
                "crop_size": {"height": 224, "width": 224},
            },
            112,
            "shorter side 128 bicubic, centre 112",
        ),
        (
            {
                "image_processor_type": "LevitImageProcessor",
                "size": {"shortest_edge": 224},
                "do_center_crop": True,
                "crop_size": 224,
            },
            None,
            "shorter side 256 bicubic, centre 224",
        ),
        (
            {
                "image_processor_type": "PoolFormerImageProcessor",
                "size": {"shortest_edge": 224},
                "crop_pct": 0.9,
                "do_center_crop": True,
                "crop_size": {"height": 224, "width": 224},
            },
            None,
            "shorter side 248 bicubic, centre 224",
        ),
        ({"size": [64, 64], "resample": 1}, None, "squashed to 64x64 lanczos"),
        ({"size": 128, "resample": 4}, None, "squashed to 128x128 box"),
        (
            {"size": 128, "resample": 0, "do_center_crop": True, "crop_size": 96},
            None,
            "shorter side 128 nearest, centre 96",
        ),
    ],
    ids=range(17),
)
def test_geometry(
    tmp_path: Path, fields: dict[str, Any], wanted: int | None, sentence: str
) -> None:
    made = contract(tmp_path, wanted, **fields)
    mode = "size" if wanted else ""
    assumed = {"layout", mode} - {""}
    assert f", {sentence}, mean" in made.sentence
    assert set(made.assumed) == assumed


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"do_resize": False}, {"size", "resize", "resize_mode"}),
        ({"size": {"shortest_edge": 256}, "do_center_crop": False}, {"size", "resize"}),
        ({"size": {"shortest_edge": 800, "longest_edge": 1333}}, {"size", "resize"}),
        ({"size": {"shortest_edge": 96}, "crop_size": 128}, {"resize"}),
        ({"size": 224, "resample": 5}, {"interpolation"}),
        ({"size": 224, "resample": "missing"}, {"interpolation"}),
        ({"size": 224, "image_std": [0.2, 0, 0.2]}, {"std"}),
        ({"size": 224, "image_mean": "missing"}, {"range", "mean"}),
        ({"size": "missing"}, {"size", "resize"}),
    ],
    ids=range(9),
)
def test_what_is_not_said_stays_assumed(
    tmp_path: Path, fields: dict[str, Any], told: set[str]
) -> None:
    made = contract(tmp_path, **fields)
    assert told <= set(made.assumed)
    assert "channel_order" not in made.assumed


@pytest.mark.parametrize(
    ("fields", "scale", "mean"),
    [
        ({}, (0, 1), (0.5, 0.4, 0.3)),
        ({"do_rescale": "missing", "rescale_factor": "missing"}, (0, 1), (0.5, 0.4, 0.3)),
        ({"rescale_factor": "missing"}, (0, 1), (0.5, 0.4, 0.3)),
        (
            {"do_rescale": False, "image_mean": [123.7, 116.3, 103.5]},
            (0, 255),
            (123.7, 116.3, 103.5),
        ),
        (
            {"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False},
            (-1, 1),
            (0, 0, 0),
        ),
        ({"do_normalize": False}, (0, 1), (0, 0, 0)),
        ({"do_normalize": False, "do_rescale": False}, (0, 255), (0, 0, 0)),
        ({"image_mean": 0.5, "image_std": 0.5}, (0, 1), (0.5, 0.5, 0.5)),
    ],
    ids=range(8),
)
def test_values(
    tmp_path: Path, fields: dict[str, Any], scale: tuple[float, float], mean: tuple[float, ...]
) -> None:
    made = contract(tmp_path, size=224, **fields)
    assert made.range == scale
    assert made.mean == mean
    assert not {"range", "mean", "std"} & set(made.assumed)


@pytest.mark.parametrize(
    ("fields", "order"),
    [
        ({}, ChannelOrder.RGB),
        ({"do_flip_channel_order": True}, ChannelOrder.BGR),
        ({"image_processor_type": "MobileViTImageProcessor"}, ChannelOrder.BGR),
        (
            {"image_processor_type": "MobileViTImageProcessor", "do_flip_channel_order": False},
            ChannelOrder.RGB,
        ),
    ],
    ids=range(4),
)
def test_channel_order(tmp_path: Path, fields: dict[str, Any], order: ChannelOrder) -> None:
    assert contract(tmp_path, **fields).channel_order is order


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": -224}, "size is -224, not a size of 1 to 2048 pixels"),
        ({"size": {"shortest_edge": 10**9}}, r"size: shortest_edge is 1000000000, not a size"),
        ({"size": "224"}, "size is '224', not a size"),
        ({"size": [224]}, r"size is \[224\], not a height and a width"),
        ({"size": {"height": 48, "width": 192}}, "size is 48x192 pixels, .* --image-size"),
        (
            {"size": {"shortest_edge": 64}, "crop_size": {"height": 48, "width": 64}},
            "crop_size is 48x64 pixels",
        ),
        ({"size": 224, "crop_pct": 0}, "crop_pct is 0, not a number above 0"),
        ({"size": 224, "crop_pct": 1e-9}, "crop_pct is 1e-09, which resizes pictures to 2240"),
        ({"image_std": [-1, 1, 1]}, r"image_std is \[-1, 1, 1\], negative"),
        ({"image_mean": [0.1, 0.2]}, "image_mean is .*, not one finite number, nor three"),
        ({"rescale_factor": 1e-30}, "rescale_factor is 1e-30, too small"),
        ({"do_resize": "yes"}, "do_resize is 'yes', neither true nor false"),
        ({"resample": 77}, "resample is 77, not a filter of Pillow's"),
        ({"resample": [3]}, r"resample is \[3\], not a whole number"),
        ({"image_processor_type": 3}, "image_processor_type is 3, not a text"),
    ],
    ids=range(15),
)
def test_hostile_fields_are_named(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        read(tmp_path, **fields)
    assert str(tmp_path / "preprocessor_config.json") in str(caught.value)


def test_a_size_of_the_users_own_settles_what_is_no_square(tmp_path: Path) -> None:
    made = contract(tmp_path, 96, size={"height": 48, "width": 192})
    assert (made.height, made.width, made.resize_mode) == (96, 96, ResizeMode.SQUASH)


def test_the_newer_name_of_the_file(tmp_path: Path) -> None:
    assert preprocessor_beside(tmp_path, None) is None
    content = {"image_processor": {**USUAL, "size": 64}}
    (tmp_path / "processor_config.json").write_text(json.dumps(content))
    found = preprocessor_beside(tmp_path, None)
    assert found is not None
    assert found.size == 64
