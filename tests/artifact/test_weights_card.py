from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.artifact.card import Accuracy
from resnet_deploy.artifact.weights_card import WeightsCard
from resnet_deploy.errors import CheckpointError, SpecError
from resnet_deploy.spec import (
    Family,
    InputContract,
    InputFormat,
    Learned,
    ModelSpec,
    resnet_spec,
    vgg19_spec,
)
from tests.support.cards import full_card
from tests.support.contracts import square

GOLDEN = Path(__file__).parents[1] / "golden"


def test_the_card_in_files_is_the_recorded_one() -> None:
    """Files in the field hold this text: reading it must keep working."""
    recorded = (GOLDEN / "weights-card.json").read_text(encoding="utf-8").strip()
    assert full_card().to_json() == recorded
    assert WeightsCard.from_json(recorded) == full_card()


def test_all_but_net_and_preprocessing_may_be_unknown() -> None:
    card = WeightsCard(model=vgg19_spec(), preprocess=InputContract.for_size(224))
    assert WeightsCard.from_json(card.to_json()) == card


def test_preprocessing_for_another_size_is_resized_as_usual() -> None:
    own = full_card().preprocess
    assert full_card().preprocess_for(16) == own
    assert full_card().preprocess_for(224) == replace(own, resize=(256, 256), height=224, width=224)


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(-1e300, 1e300) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
accuracies = st.builds(
    Accuracy,
    data=names,
    samples=st.integers(1, 10**6),
    top1=st.floats(0, 0.5),
    top5=st.none() | st.floats(0.5, 1),
    of=st.none() | st.integers(10**6, 10**7),
    data_sha256=st.none() | st.text("0123456789abcdef", min_size=1, max_size=64),
)
ranges = st.tuples(st.floats(-1e38, 0), st.floats(0, 1e38))


@st.composite
def cards(draw: st.DrawFn) -> WeightsCard:
    size, classes = draw(st.integers(1, 8192)), draw(st.integers(1, 4))
    rgb = st.tuples(*[st.floats(1e-3, 10)] * 3)
    return WeightsCard(
        model=draw(
            st.builds(
                resnet_spec,
                st.sampled_from([8, 20, 50]),
                num_classes=st.just(classes),
                image_size=st.just(size),
                plain=st.booleans(),
            )
        ),
        preprocess=square(size, draw(st.integers(1, 8192)), mean=draw(rgb), std=draw(rgb)),
        labels=draw(st.just(()) | st.tuples(*[names] * classes)),
        accuracy=tuple(draw(st.lists(accuracies, max_size=2))),
        int8_accuracy=tuple(draw(st.lists(accuracies, max_size=2))),
        licence=draw(st.sampled_from(["", "MIT", "Apache-2.0 OR MIT"])),
        recipe=draw(st.dictionaries(names, json_values, max_size=3)),
        training=draw(st.dictionaries(names, json_values, max_size=3)),
        activation_ranges=draw(st.dictionaries(names, ranges, max_size=3)),
        versions=draw(st.dictionaries(names, names, max_size=2)),
    )


@given(cards())
def test_a_card_comes_back_as_it_was(card: WeightsCard) -> None:
    text = card.to_json()
    again = WeightsCard.from_json(text)
    assert again == card
    assert again.to_json() == text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"preprocess": InputContract.for_size(32)}, "a network for 16 pixels and images of 32"),
        ({"labels": ("cat", "dog")}, "2 class names for 3 classes"),
        ({"labels": ("cat", "dog", "x" * 70_000)}, "a name of 70000 letters for class 2"),
        ({"model": ModelSpec(family=Family.CUSTOM, num_classes=0, image_size=16)}, "0 classes"),
        ({"activation_ranges": {"a": (1.0, 0.0)}}, "a range of 1 to 0 for a"),
        ({"activation_ranges": {"a": (0.0, float("inf"))}}, "a range of 0 to inf for a"),
        ({"activation_ranges": {"a": (1.0, 2.0)}}, "a range of 1 to 2 for a"),
        ({"licence": "my own"}, "not an SPDX expression"),
    ],
)
def test_what_no_training_can_give_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        full_card(**change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"samples": 5, "top1": 1.5}, "a top-1 of 150 % on 5 images"),
        ({"samples": 5, "top1": -0.5}, "a top-1 of -50 % on 5 images"),
        ({"samples": 0, "top1": 1.0}, "a top-1 of 100 % on 0 images"),
        ({"samples": 1, "top1": float("nan")}, "a top-1 of nan %"),
        ({"samples": 9, "top1": 0.5, "top5": 0.4}, "a top-1 of 50 %, top-5 of 40 %"),
        ({"samples": 9, "top1": 0.5, "of": 8}, "on 9 of 8 images"),
        ({"samples": 9, "top1": 0.5, "data_sha256": "no"}, "is not a SHA-256"),
    ],
)
def test_accuracies_that_nothing_can_have(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Accuracy(data="d", **values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"std": (0.0, 1.0, 1.0)}, "std must be positive"),
        ({"std": (1.0, float("nan"), 1.0)}, "finite"),
        ({"std": (-1.0, 1.0, 1.0)}, "std must be positive"),
        ({"mean": (0.0, float("nan"), 1.0)}, "finite"),
        ({"mean": (0.0, 1e30, 1.0)}, "finite"),
        ({"range": (0.0, 1e30)}, "black below white"),
        ({"resize": (0, 9)}, "images of 0 pixels"),
        ({"height": 10**9}, "images of 1000000000 pixels"),
        ({"learned": {"weight": Learned.CARD}}, "'weight'"),
    ],
)
def test_pictures_that_nobody_can_prepare(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        replace(full_card().preprocess, **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": InputFormat.UINT8_NHWC}, "trained on float-nchw"),
        ({"resize_in_graph": True}, "trained on float-nchw"),
    ],
)
def test_preprocessing_of_nonsense(change: dict[str, Any], message: str) -> None:
    preprocess = replace(full_card().preprocess, **change)
    with pytest.raises(SpecError, match=message):
        full_card(preprocess=preprocess)


def test_a_size_in_old_and_in_new_words_is_refused() -> None:
    text = (GOLDEN / "weights-card-format-1.json").read_text(encoding="utf-8")
    card = json.loads(text)
    assert WeightsCard.from_json(text)
    for change in ({"height": 32.9}, {"crop": 16.9}, {"crop": "16"}, {"resize": [16, 16]}):
        odd = {**card, "preprocess": {**card["preprocess"], **change}}
        with pytest.raises(CheckpointError, match="the weights card is damaged"):
            WeightsCard.from_json(json.dumps(odd))


def test_numbers_that_json_has_not_are_never_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        full_card(training={"loss": float("nan")}).to_json()


@pytest.mark.parametrize("text", ["", "[]", "3", "{}", '{"format": 1}', '{"format": 1, "a": 2}'])
def test_a_damaged_card(text: str) -> None:
    with pytest.raises(CheckpointError, match="the weights card is damaged") as caught:
        WeightsCard.from_json(text)
    assert "\n" not in str(caught.value)


def test_a_card_of_another_format_says_what_to_do() -> None:
    text = full_card().to_json().replace('"format": 2', '"format": 4')
    with pytest.raises(CheckpointError, match="format 4, this version reads up to 3: use the"):
        WeightsCard.from_json(text)


def without(key: str) -> str:
    data = json.loads(full_card().to_json())
    del data[key]
    return json.dumps(data)


@pytest.mark.parametrize(
    "text",
    [
        without("model"),
        full_card().to_json().replace('"seed": 0', '"seed": NaN'),
        full_card().to_json().replace('"top1": 0.79', '"top1": 1e999'),
        full_card().to_json().replace('"top1": 0.79', f'"top1": 1{"0" * 400}'),
        full_card().to_json().replace('"top1": 0.79', '"top1": 7'),
        full_card().to_json().replace("[0.0, 3.5]", "[0.0, 3.5, 4.0]"),
        full_card().to_json().replace("[0.0, 3.5]", '["a", 3.5]'),
        full_card().to_json().replace('"cat"', '"\\ud800"'),
        full_card().to_json().replace('"resize": [20, 20]', '"resize": [20, 2000000]'),
        full_card().to_json().replace('"seed": 0', f'"seed": {"[" * 100_000}'),
        full_card().to_json().replace('"versions": {', '"versions": 3, "more": {'),
        full_card().to_json().replace('"versions": {', '"more": 3, "versions": {'),
        full_card().to_json().replace('"family": "cifar"', '"family": "alexnet"'),
    ],
    ids=range(13),
)
def test_a_card_of_nonsense_is_refused_in_one_line(text: str) -> None:
    assert text != full_card().to_json()
    with pytest.raises(CheckpointError, match="the weights card is damaged") as caught:
        WeightsCard.from_json(text)
    assert "\n" not in str(caught.value)
