from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from resnet_deploy.data.arrays import ArrayDataset, array_dataset
from resnet_deploy.data.datasets import open_dataset
from resnet_deploy.errors import DatasetError, RunnerError, SpecError, UnsupportedGraphError
from resnet_deploy.evaluate import ranks, score
from resnet_deploy.results import to_dict
from resnet_deploy.spec import Preprocess
from tests.data.tiny_model import COLOURS, colour_model, save_colour_model


def _coloured(labels: list[int], *, seen: list[int] | None = None) -> ArrayDataset:
    """Plain pictures: ``seen[i]`` is the colour of picture i, ``labels[i]`` what it is called."""
    images = np.zeros((len(labels), 8, 8, 3), dtype=np.uint8)
    for index, colour in enumerate(seen or labels):
        images[index, ..., colour] = 200
    return array_dataset("colours", images, np.array(labels), COLOURS)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_colour_model(tmp_path / "model.onnx").path


def test_counts_what_is_right(model):
    steps: list[tuple[str, int, int]] = []
    data = _coloured([0, 1, 2, 2, 1], seen=[0, 1, 2, 2, 0])
    result = score(model, data, batch_size=2, progress=lambda *step: steps.append(step))
    assert result.ranks == (0, 0, 0, 0, 1)
    assert (result.samples, result.top1, result.top5) == (5, 0.8, 1.0)
    assert (result.model, len(result.sha256), result.against) == ("model.onnx", 64, None)
    assert result.data.startswith("colours (sha256 ")
    assert steps[-1] == ("evaluating", 5, 5)


def test_against(model, tmp_path):
    # The other model mixes up green and blue and shouts twice as loud.
    swapped = np.array([[2, 0, 0], [0, 0, 2], [0, 2, 0]])
    other = save_colour_model(tmp_path / "other.onnx", swapped).path
    result = score(model, _coloured([0, 0, 1, 2]), against=other)
    assert result.top1 == 1.0
    against = result.against
    assert against is not None
    assert (against.top1, against.agreement) == (0.5, 0.5)
    # Per picture (unit u = 200/255): signal (2u)^2; noise u^2 twice, u^2 + (2u)^2 twice.
    assert against.noise_power == pytest.approx(against.signal_power * 12 / 16)
    data = to_dict(result)
    assert {"samples", "top1", "top5", "against"} <= data.keys()
    assert data["against"]["sqnr_db"] == pytest.approx(10 * np.log10(16 / 12))
    assert data["against"].keys() >= {"top1", "agreement", "sqnr_db"}


def test_against_itself_is_identical(model):
    against = score(model, _coloured([0, 1, 2]), against=model).against
    assert against is not None
    assert (against.agreement, against.noise_power) == (1.0, 0.0)


def test_each_model_prepares_as_its_card_says(model, tmp_path):
    spec = Preprocess(resize=8, crop=8, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    other = save_colour_model(tmp_path / "other.onnx", preprocess=spec).path
    against = score(model, _coloured([0]), against=other).against
    assert against is not None
    u = 200 / 255
    assert against.signal_power == pytest.approx((2 * u - 1) ** 2 + 1 + 1, rel=1e-6)


def test_classes_are_matched_by_name(tmp_path):
    # The outputs are in another order than the folders.
    weights = np.eye(3)[[2, 0, 1]]
    path = save_colour_model(tmp_path / "m.onnx", weights, labels=("Blue", "red", "green")).path
    assert score(path, _coloured([0, 1, 2])).top1 == 1.0


def test_fixed_batch_size(tmp_path):
    path = save_colour_model(tmp_path / "fixed.onnx", shape=(4, 3, 8, 8)).path
    assert score(path, _coloured([0, 1, 2, 1, 0, 2]), batch_size=3).ranks == (0,) * 6


def test_limit_is_spread_over_the_classes(model):
    data = _coloured([0] * 20 + [1] * 20 + [2] * 20, seen=[0] * 20 + [1] * 20 + [0] * 20)
    result = score(model, data, limit=9)
    assert result.samples == 9
    assert result.top1 == pytest.approx(6 / 9)
    assert score(model, data, limit=1000).samples == 60


@given(
    logits=hnp.arrays(np.float64, (5, 4), elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0])),
    truth=hnp.arrays(np.int64, 5, elements=st.integers(0, 3)),
)
def test_rank_is_the_place_in_a_stable_sort(logits, truth):
    places = [
        list(np.argsort(-row, kind="stable")).index(label)
        for row, label in zip(logits, truth, strict=True)
    ]
    assert ranks(logits, truth) == places
    assert [rank == 0 for rank in places] == (logits.argmax(axis=1) == truth).tolist()


def test_nan_is_refused(tmp_path):
    path = save_colour_model(tmp_path / "nan.onnx", np.full((3, 3), np.nan)).path
    with pytest.raises(RunnerError, match=r"nan\.onnx gives NaN or infinity"):
        score(path, _coloured([0]))


def test_requests_that_make_no_sense(model, tmp_path):
    unlabelled = array_dataset("bare", np.zeros((2, 8, 8), np.uint8), None)
    with pytest.raises(DatasetError, match="bare has no labels"):
        score(model, unlabelled)
    with pytest.raises(SpecError, match="must be positive"):
        score(model, _coloured([0]), limit=0)
    four = array_dataset("four", np.zeros((1, 8, 8), np.uint8), np.array([0]), tuple("abcd"))
    with pytest.raises(DatasetError, match=r"model\.onnx on four: .*4 classes, the model 3"):
        score(model, four)
    labels = (*COLOURS, "more")
    bigger = save_colour_model(tmp_path / "big.onnx", np.ones((4, 3)), labels=labels).path
    with pytest.raises(SpecError, match=r"model\.onnx has 3 classes, big\.onnx has 4"):
        score(model, _coloured([0]), against=bigger)


def test_models_that_take_no_pictures(tmp_path):
    onnx.save(colour_model(shape=("N", 1, 8, 8)), tmp_path / "gray.onnx")
    with pytest.raises(UnsupportedGraphError, match="1 channels"):
        score(tmp_path / "gray.onnx", _coloured([0]))


def test_unreadable_image_is_named(model, tmp_path):
    for colour in COLOURS:
        (tmp_path / "data" / colour).mkdir(parents=True)
        Image.new("RGB", (8, 8), colour).save(tmp_path / "data" / colour / "1.png")
    (tmp_path / "data/green/0.png").write_bytes(b"broken")
    with pytest.raises(DatasetError, match=r"green/0\.png"):
        score(model, open_dataset(tmp_path / "data"))


def test_5000_images_take_seconds(cifar10_test, tmp_path):
    weights = np.random.default_rng(0).normal(size=(10, 3))
    spec = Preprocess.for_size(32)
    path = save_colour_model(
        tmp_path / "m.onnx", weights, labels=(), preprocess=spec, shape=("N", 3, 32, 32)
    ).path
    start = time.perf_counter()
    result = score(path, open_dataset(cifar10_test))
    assert result.samples == 5000
    assert 0.02 < result.top1 < 0.4
    assert time.perf_counter() - start < 60  # about 1.3 on an idle machine
