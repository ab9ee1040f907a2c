from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from resnet_deploy.artifact.card import CARD_KEY
from resnet_deploy.artifact.model_file import metadata_of
from resnet_deploy.artifact.onnx_file import load, save
from resnet_deploy.artifact.told import as_fed
from resnet_deploy.deployment.source import check_source, with_first_card
from resnet_deploy.errors import RunnerError, UnsupportedGraphError
from resnet_deploy.spec import InputOptions, Told
from tests.support.graphs import parse

LETTERS = """net (float[N, 3, 4, 8] x) => (float[8, N, 3] y) {
    rows = ReduceMean<axes = [2], keepdims = 0>(x)
    y = Transpose<perm = [2, 0, 1]>(rows)
}"""


def test_answers_without_a_row_for_each_image_are_refused_before_calibration(
    tmp_path: Path,
) -> None:
    onnx.save(parse(LETTERS, {"w": np.zeros(1, np.float32)}), tmp_path / "letters.onnx")
    with pytest.raises(RunnerError, match=r"y has shape \[8, 1, 3\] for a batch of 1"):
        check_source(load(tmp_path / "letters.onnx"))


def test_the_number_of_the_best_class_is_no_answer_to_prove(tmp_path: Path) -> None:
    text = """net (float[N, 3, 4, 8] x) => (float[N, 3] y, int64[N] best) {
        y = ReduceMean<axes = [2, 3], keepdims = 0>(x)
        best = ArgMax<axis = 1, keepdims = 0>(y)
    }"""
    path = tmp_path / "two.onnx"
    onnx.save(parse(text, {"w": np.zeros(1, np.float32)}), path)
    with pytest.raises(UnsupportedGraphError, match=r"gives best \(N\) int64.*--output-name"):
        check_source(load(path, Told(output_name="best")))
    check_source(load(path))


def _carded(path: Path, image: str, channels: int) -> Path:
    """Write a file of another tool to ``path``, and beside it the same with its first card."""
    text = f"""net (float[{image}] x) => (float[N, 2] y) {{
        p = GlobalAveragePool(x)
        f = Flatten(p)
        y = Gemm(f, w)
    }}"""
    onnx.save(parse(text, {"w": np.ones((channels, 2), np.float32)}, opset=13), path)
    source = load(path)
    order = "RGBA" if channels == 4 else None
    size = (24, 40) if "H" in image else None
    carded = with_first_card(as_fed(source, InputOptions(channel_order=order, image_size=size)))
    assert carded.card is not None
    return save(onnx.load(path), path.with_suffix(".carded.onnx"), carded.card).path


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", ["16, 24", "H, W"])
def test_the_first_card_is_of_the_pictures_that_the_file_takes(
    channels: int, size: str, tmp_path: Path
) -> None:
    artifact = load(_carded(tmp_path / "net.onnx", f"N, {channels}, {size}", channels))
    assert artifact.card is not None
    assert artifact.card.model.in_channels == artifact.preprocess.channels == channels
    assert artifact.card.model.image_size == artifact.preprocess.side


def test_the_first_cards_of_older_releases_said_3_channels(tmp_path: Path) -> None:
    path = _carded(tmp_path / "net.onnx", "N, 1, 16, 16", 1)
    model = onnx.load(path)
    card = json.loads(metadata_of(model)[CARD_KEY])
    del card["model"]["in_channels"]
    onnx.helper.set_model_props(model, {CARD_KEY: json.dumps({**card, "format": 4})})
    onnx.save(model, path)
    assert load(path).preprocess.channels == 1


def test_a_net_of_any_size_is_fed_another_one_than_its_card_says(tmp_path: Path) -> None:
    artifact = load(_carded(tmp_path / "net.onnx", "N, 3, H, W", 3))
    fed = as_fed(artifact, InputOptions(image_size=(64, 48)))
    assert artifact.card is not None
    assert fed.card is not None
    assert (fed.preprocess.shape, fed.card.model.image_size) == ((3, 64, 48), 64)
    same = as_fed(artifact, InputOptions(range="0-255"))
    assert same.card is not None
    assert same.card.model == artifact.card.model
