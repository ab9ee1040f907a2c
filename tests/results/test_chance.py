from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from resnet_deploy.errors import CheckFailed
from resnet_deploy.results import EvalResult
from resnet_deploy.results.base import from_dict, to_dict
from resnet_deploy.results.chance import chance_share, is_at_chance
from resnet_deploy.spec import InputContract
from tests.support.terminal import printed


def test_the_chance_of_answers() -> None:
    even = [0, 1] * 50
    assert chance_share(even, [0] * 100, 2) == 0.5
    assert chance_share(even, even, 2) == 0.5
    assert chance_share([0] * 95 + [1] * 5, [0] * 100, 2) == 0.95
    # None of what it says is a class of the data, or all of the data is one class.
    assert chance_share(even, [7] * 100, 1000) == 0.001
    assert chance_share([3] * 100, [3] * 90 + [1] * 10, 10) == 0.1


@pytest.mark.parametrize(
    ("right", "samples", "chance", "expected"),
    [
        (51, 500, 0.1, True),  # 10.2 % of ten classes
        (48, 500, 0.1, True),
        (0, 500, 0.1, True),
        (94, 500, 1 / 12, False),  # class folders in text order: 18.8 %
        (246, 500, 0.1, False),
        (437, 500, 0.1, False),
        (25, 5000, 0.001, False),
        (10, 5000, 0.001, True),  # a small multiple of chance
        (900, 1000, 0.92, True),
        (975, 1000, 0.9275, False),  # half of the rare class is found
        (2, 20, 0.1, True),
        (1, 19, 0.1, False),  # too few to say
        (15, 20, 0.5, False),  # three in four of two classes: too few to say
        (50, 100, 0.5, True),
        (60, 60, 1.0, False),
    ],
)
def test_what_is_at_chance(right: int, samples: int, chance: float, expected: bool) -> None:
    assert is_at_chance(right, samples, chance) is expected


def test_a_model_of_some_use_is_hardly_ever_called_at_chance() -> None:
    rng = np.random.default_rng(0)
    for classes, accuracy in ((2, 0.8), (10, 0.5), (100, 0.4), (1000, 0.4)):
        called = 0
        for samples in (20, 50, 200, 1000):
            for right in rng.binomial(samples, accuracy, 200):
                called += is_at_chance(int(right), samples, 1 / classes)
        assert called <= 8, (classes, called)


def evaluation(**changed: object) -> EvalResult:
    truth = tuple(range(10)) * 20
    predicted = (3,) * 200
    result = EvalResult(
        model="net.onnx",
        sha256="0" * 64,
        ranks=tuple(0 if label == 3 else 1 for label in truth),
        predicted=predicted,
        confidences=(0.5,) * 200,
        data="test",
        seconds=1.0,
        classes=tuple("abcdefghij"),
        truth=truth,
    )
    return replace(result, **changed)  # type: ignore[arg-type]


def test_chance_level_fails_the_check_and_names_what_is_assumed() -> None:
    contract = InputContract().as_assumed(["channel_order", "size"])
    result = evaluation(preprocess=contract)
    assert result.passed is False
    assert result.reason == (
        "the model is at chance level: right on 10.0% of 200 images (10.0% by chance); of its "
        "input is assumed: size, channel order; say --image-size --channel-order"
    )
    with pytest.raises(CheckFailed, match="at chance level"):
        result.check()
    text = " ".join(printed(result).split())
    assert "at chance level" in text
    assert "--channel-order" in text


def test_where_nothing_is_assumed_the_classes_are_in_question() -> None:
    assert "are its classes those of the images?" in (evaluation().reason or "")


def test_random_weights_are_at_chance_without_failing() -> None:
    result = evaluation(untrained=True)
    assert result.passed is None
    assert result.check() is result
    assert "as its weights are random" in " ".join(printed(result).split())


def test_a_trained_model_has_no_verdict() -> None:
    result = evaluation(ranks=(0,) * 200, predicted=tuple(range(10)) * 20)
    assert result.passed is None
    assert not result.at_chance
    assert result.chance == pytest.approx(0.1)
    assert "chance level" not in printed(result)


def test_chance_is_part_of_the_json() -> None:
    result = evaluation(preprocess=InputContract().as_assumed(["mean"]))
    data = json.loads(json.dumps(to_dict(result)))
    assert (data["chance"], data["at_chance"]) == (0.1, True)
    again = from_dict(EvalResult, data)
    assert again.reason == result.reason
