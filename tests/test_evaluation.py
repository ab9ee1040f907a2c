from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from resnet_deploy.evaluation import confidences, ranks, score
from resnet_deploy.results import to_dict
from resnet_deploy.spec import InputContract
from tests.support.contracts import square
from tests.support.tiny_model import COLOURS, colour_model, save_colour_model


def _coloured(labels: list[int], *, seen: list[int] | None = None) -> ArrayDataset:
    """Plain images: ``seen[i]`` is the colour of image i, ``labels[i]`` what it is called."""
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
    # The other model swaps green and blue, and its logits are twice as large.
    swapped = np.array([[2, 0, 0], [0, 0, 2], [0, 2, 0]])
    other = save_colour_model(tmp_path / "other.onnx", swapped).path
    result = score(model, _coloured([0, 0, 1, 2]), against=other)
    assert result.top1 == 1.0
    against = result.against
    assert against is not None
    assert (against.top1, against.agreement) == (0.5, 0.5)
    # Per image (unit u = 200/255): signal (2u)^2; noise u^2 twice, u^2 + (2u)^2 twice.
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
    spec = square(8, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
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


def test_answers_are_kept_sample_by_sample(model, tmp_path):
    other = save_colour_model(tmp_path / "other.onnx", np.eye(3)[[0, 2, 1]]).path
    result = score(model, _coloured([0, 1, 2, 2], seen=[0, 1, 2, 0]), against=other)
    assert result.classes == COLOURS
    assert result.truth == (0, 1, 2, 2)
    assert result.predicted == (0, 1, 2, 0)
    top = np.exp(200 / 255) / (np.exp(200 / 255) + 2)
    assert result.confidences == pytest.approx([top] * 4, abs=1e-6)
    assert result.mean_confidence == pytest.approx(top, abs=1e-6)
    assert result.calibration_error == pytest.approx(abs(top - 0.75), abs=1e-6)
    assert result.against is not None
    assert result.against.predicted == (0, 2, 1, 0)
    assert result.confidence_drift == pytest.approx(0, abs=1e-6)
    assert result.paired is not None
    assert (result.paired.newly_right, result.paired.newly_wrong) == (2, 0)
    changes = [(change.truth, change.before, change.after) for change in result.confusion_changes]
    assert changes == [("green", "blue", "green"), ("blue", "green", "blue")]
    assert [each.right for each in result.per_class] == [1, 1, 1]


def test_models_whose_outputs_are_in_another_order_are_matched(model, tmp_path):
    order = [2, 0, 1]
    labels = tuple(COLOURS[index] for index in order)
    other = save_colour_model(tmp_path / "other.onnx", np.eye(3)[order], labels=labels).path
    against = score(model, _coloured([0, 1, 2, 1]), against=other).against
    assert against is not None
    assert (against.top1, against.agreement, against.noise_power) == (1.0, 1.0, 0.0)


def test_classes_that_the_data_does_not_have(tmp_path):
    # Green images are called "other" by both; the data knows only red and blue.
    labels, few = ("other", "blue", "red"), np.eye(3)[[1, 2, 0]]
    path = save_colour_model(tmp_path / "m.onnx", few, labels=labels).path
    images = np.zeros((3, 8, 8, 3), dtype=np.uint8)
    for index in range(3):
        images[index, ..., index] = 200
    data = array_dataset("two", images, np.array([1, 1, 0]), ("blue", "red"))
    result = score(path, data, against=path)
    assert result.classes == ("blue", "red", "other")
    assert result.predicted == (1, 2, 0)
    assert [each.name for each in result.per_class] == ["blue", "red"]
    swapped = save_colour_model(tmp_path / "s.onnx", few[[2, 1, 0]], labels=labels[::-1]).path
    with pytest.raises(SpecError, match=r"only 2 of 3 to match them by"):
        score(path, data, against=swapped)


def test_two_folders_of_one_class(model):
    images = np.zeros((4, 8, 8, 3), dtype=np.uint8)
    for index, colour in enumerate((0, 0, 1, 2)):
        images[index, ..., colour] = 200
    data = array_dataset("twice", images, np.arange(4), ("red", "Red", "green", "blue"))
    result = score(model, data)
    assert result.top1 == 1.0
    assert result.predicted == (0, 0, 2, 3)


@given(
    logits=hnp.arrays(np.float64, (4, 5), elements=st.floats(-800, 800)),
    shift=st.floats(-100, 100),
)
def test_confidence_is_the_largest_softmax(logits, shift):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    largest = (powers / powers.sum(axis=1, keepdims=True)).max(axis=1)
    assert confidences(logits, probabilities=False) == pytest.approx(largest.tolist(), abs=1e-6)
    moved = confidences(logits + shift, probabilities=False)
    assert moved == pytest.approx(largest.tolist(), abs=1e-6)


def test_probabilities_are_taken_as_they_are(model, tmp_path):
    ends_in_softmax = onnx.load(model)
    ends_in_softmax.graph.node[-1].output[0] = "raw"
    ends_in_softmax.graph.node.append(onnx.helper.make_node("Softmax", ["raw"], ["logits"]))
    onnx.save(ends_in_softmax, tmp_path / "softmax.onnx")
    data = _coloured([0, 1])
    plain, softmax = score(model, data), score(tmp_path / "softmax.onnx", data)
    assert softmax.confidences == pytest.approx(plain.confidences, abs=1e-6)


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
    with pytest.raises(RunnerError, match=r"nan\.onnx gives NaN or infinity for colours\[0\]"):
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


def test_models_that_take_no_images(tmp_path):
    onnx.save(colour_model(shape=("N", 4, 8, 8)), tmp_path / "four.onnx")
    with pytest.raises(UnsupportedGraphError, match="say --layout"):
        score(tmp_path / "four.onnx", _coloured([0]))


def test_unreadable_image_is_named(model, tmp_path):
    for colour in COLOURS:
        (tmp_path / "data" / colour).mkdir(parents=True)
        Image.new("RGB", (8, 8), colour).save(tmp_path / "data" / colour / "1.png")
    (tmp_path / "data/green/0.png").write_bytes(b"broken")
    data = open_dataset(tmp_path / "data")
    with pytest.raises(DatasetError, match=r"green/0\.png"):
        score(model, data)
    steps: list[tuple[str, int, int]] = []
    result = score(model, data, skip_bad=True, progress=lambda *step: steps.append(step))
    assert result.skipped == ("green/0.png",)
    assert (result.samples, result.truth) == (3, (0, 1, 2))
    assert steps[-1] == ("evaluating", 4, 4)


def test_nothing_but_unreadable_images(model, tmp_path):
    for colour in COLOURS:
        (tmp_path / "data" / colour).mkdir(parents=True)
        (tmp_path / "data" / colour / "0.png").write_bytes(b"broken")
    with pytest.raises(DatasetError, match=r"not one of the 3 images of data .*blue/0\.png") as bad:
        score(model, open_dataset(tmp_path / "data"), skip_bad=True)
    assert "\n" not in str(bad.value)


def _synthetic(answers: Any, truth: np.ndarray, seed: int) -> Any:
    """``answers`` as a model would give to ``truth``, a third of them wrong."""
    noise = np.random.default_rng(seed).random(len(truth))
    wrong = np.random.default_rng(seed + 10).integers(0, 1000, len(truth))
    predicted = np.where(noise < 0.3, wrong, truth)
    return replace(
        answers,
        ranks=tuple(np.where(predicted == truth, 0, 1 + (noise * 100).astype(int)).tolist()),
        predicted=tuple(predicted.tolist()),
        confidences=tuple(np.round(noise, 6).tolist()),
    )


def test_json_of_50000_images_of_1000_classes_stays_small(model):
    truth = np.random.default_rng(0).integers(0, 1000, 50_000)
    small = score(model, _coloured([0]), against=model)
    model, reference = _synthetic(small, truth, 1), _synthetic(small.against, truth, 2)
    equal = tuple(a == b for a, b in zip(model.predicted, reference.predicted, strict=True))
    big = replace(
        model,
        truth=tuple(truth.tolist()),
        classes=tuple(f"class number {index}" for index in range(1000)),
        against=replace(reference, top1_equal=equal),
    )
    data = to_dict(big)
    assert len(data["per_class"]) == 1000
    assert len(data["confusion_changes"]) == 20
    assert len(json.dumps(data, indent=2)) < 5_000_000


def test_5000_images_take_seconds(cifar10_test, tmp_path):
    weights = np.random.default_rng(0).normal(size=(10, 3))
    spec = InputContract.for_size(32)
    path = save_colour_model(
        tmp_path / "m.onnx", weights, labels=(), preprocess=spec, shape=("N", 3, 32, 32)
    ).path
    start = time.perf_counter()
    result = score(path, open_dataset(cifar10_test))
    assert result.samples == 5000
    assert 0.02 < result.top1 < 0.4
    assert time.perf_counter() - start < 60  # about 1.3 on an idle machine
