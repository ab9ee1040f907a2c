"""How a file that another tool wrote takes its pictures, from all that it tells itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.spec import ChannelOrder, InputFormat, Learned
from tests.support.graphs import noise, parse

SCALE = {"k": np.float32(255)}


def opened(
    folder: Path,
    shape: str = "N,3,8,8",
    steps: str = "f = Identity(x)",
    weights: dict[str, Any] | None = None,
    *,
    metadata: dict[str, str] | None = None,
    dtype: str = "float",
    channels: int = 3,
) -> Artifact:
    text = f"""g ({dtype}[{shape}] x) => (float[N,4] y) {{
        {steps}
        c = Conv(f, w)
        p = GlobalAveragePool(c)
        y = Flatten(p)
    }}"""
    model = parse(text, {"w": noise(4, channels, 3, 3), **(weights or {})})
    if metadata:
        onnx.helper.set_model_props(model, metadata)
    onnx.save(model, folder / "net.onnx")
    return load(folder / "net.onnx")


def test_what_nothing_tells_is_assumed(tmp_path: Path) -> None:
    contract = opened(tmp_path).preprocess
    assert contract.assumed == (
        *("channel_order", "range", "mean", "std", "resize", "resize_mode", "interpolation"),
    )
    assert contract.learned["size"] is contract.learned["layout"] is Learned.GRAPH
    assert (contract.height, contract.width) == (8, 8)


def test_a_size_that_is_not_said_is_assumed(tmp_path: Path) -> None:
    contract = opened(tmp_path, "N,C,H,W").preprocess
    assert (contract.height, contract.width) == (224, 224)
    assert contract.learned["size"] is Learned.ASSUMED
    contract = opened(tmp_path, "N,C,H,W", metadata={"imgsz": "[48, 192]"}).preprocess
    assert contract.shape == (3, 48, 192)
    assert contract.learned["size"] is Learned.METADATA


@pytest.mark.parametrize("shape", ["N,48,192,3", "N,48,192,C"])
def test_height_and_width_are_apart(tmp_path: Path, shape: str) -> None:
    artifact = opened(tmp_path, shape, "f = Transpose<perm=[0,3,1,2]>(x)")
    contract = artifact.preprocess
    assert contract.format is InputFormat.FLOAT_NHWC
    assert (contract.shape, artifact.image_shape) == ((48, 192, 3), (48, 192, 3))


def test_one_channel_is_grey(tmp_path: Path) -> None:
    contract = opened(tmp_path, "N,C,28,28", channels=1).preprocess
    assert contract.channel_order is ChannelOrder.GREY
    assert contract.shape == (1, 28, 28)
    assert contract.learned["channel_order"] is Learned.GRAPH


def test_bytes_are_taken_in_the_layout_of_the_graph(tmp_path: Path) -> None:
    steps = "a = Cast<to=1>(x) b = Div(a, k) f = Transpose<perm=[0,3,1,2]>(b)"
    contract = opened(tmp_path, "N,8,6,3", steps, SCALE, dtype="uint8").preprocess
    assert contract.format is InputFormat.UINT8_NHWC
    assert contract.shape == (8, 6, 3)
    assert "mean" not in contract.assumed


def test_metadata_goes_before_the_graph_and_both_before_assumptions(tmp_path: Path) -> None:
    metadata = {"Image.BitmapPixelFormat": "Bgr8", "interpolation": "bicubic"}
    artifact = opened(tmp_path, steps="f = Div(x, k)", weights=SCALE, metadata=metadata)
    contract = artifact.preprocess
    assert (contract.range, contract.mean, contract.std) == ((0.0, 255.0), (0.0,) * 3, (1.0,) * 3)
    assert contract.channel_order is ChannelOrder.BGR
    assert contract.learned["range"] is Learned.GRAPH
    assert contract.learned["channel_order"] is Learned.METADATA
    assert contract.assumed == ("resize", "resize_mode")
    assert artifact.notices == ()


@pytest.mark.parametrize(
    ("metadata", "notice"),
    [
        ({"Image.NominalPixelRange": "Normalized_0_1"}, "values are from 0 to 1, and what"),
        ({"Image.BitmapPixelFormat": "Gray8"}, "pictures are grey, and the input has 3"),
        ({"Image.ColorSpaceGamma": "Linear"}, "Image.ColorSpaceGamma 'linear'"),
        ({"mean": "[0.5, 0.5, 0.5]"}, "metadata and graph contradict each other"),
    ],
)
def test_contradictions_are_said(tmp_path: Path, metadata: dict[str, str], notice: str) -> None:
    artifact = opened(tmp_path, steps="f = Div(x, k)", weights=SCALE, metadata=metadata)
    (found,) = artifact.notices
    assert notice in found


def test_a_size_of_the_shape_is_no_matter_of_metadata(tmp_path: Path) -> None:
    contract = opened(tmp_path, metadata={"imgsz": "640", "layout": "NHWC"}).preprocess
    assert contract.shape == (3, 8, 8)


def test_pictures_of_four_channels_leave_the_contract_to_its_user(tmp_path: Path) -> None:
    artifact = opened(tmp_path, "N,4,8,8", channels=4)
    assert artifact.image_shape == (4, 8, 8)
