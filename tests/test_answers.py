"""Files that give one value, labels or an embedding: predict, verify, evaluate, quantize.

Long because every verb meets every kind of output.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from resnet_deploy import api
from resnet_deploy.answers import average_precision
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.artifact.told import as_kind
from resnet_deploy.errors import ResnetDeployError, RunnerError, SpecError, UnsupportedGraphError
from resnet_deploy.results import AnswerResult, EvalResult, ParityReport
from resnet_deploy.spec import OutputKind
from tests.support.foreign import SIDE, coloured, foreign
from tests.support.graphs import parse
from tests.support.terminal import printed

EACH = np.eye(3)
RED_OR_GREEN = np.array([[-1.0], [1.0], [0.0]])
"""A logit: above 0 for green."""

SIGMOID = "y = Sigmoid(z)"
NORMAL = "y = LpNormalization(z)"


def plain(folder: Path, colour: tuple[int, int, int]) -> Path:
    Image.new("RGB", (SIDE, SIDE), colour).save(folder / "plain.png")
    return folder / "plain.png"


def best(file: Path, picture: Path, **words: Any) -> list[tuple[str, float]]:
    (found,) = api.predict(file, picture, **words).predictions
    return [(one.label, round(one.probability, 3)) for one in found.classes]


@pytest.mark.parametrize("tail", ["y = Identity(z)", SIGMOID])
def test_one_value_is_a_decision_between_two_classes(tmp_path: Path, tail: str) -> None:
    file = foreign(tmp_path / "m.onnx", RED_OR_GREEN, tail)
    green = dict(best(file, plain(tmp_path, (20, 200, 20))))
    red = dict(best(file, plain(tmp_path, (200, 20, 20))))
    assert list(green) == ["yes", "no"]
    assert list(red) == ["no", "yes"]
    assert green["yes"] > 0.9 > 0.1 > red["yes"]
    assert sum(green.values()) == pytest.approx(1, abs=0.002)


@pytest.mark.parametrize(
    ("names", "found"),
    [("['red', 'green']", ["green", "red"]), ("['green']", ["green", "not green"])],
)
def test_the_two_classes_are_called_as_the_file_says(
    tmp_path: Path, names: str, found: list[str]
) -> None:
    file = foreign(tmp_path / "m.onnx", RED_OR_GREEN, names=names)
    assert [name for name, _ in best(file, plain(tmp_path, (20, 200, 20)))] == found


def test_a_decision_is_right_or_wrong(tmp_path: Path) -> None:
    file = foreign(tmp_path / "m.onnx", RED_OR_GREEN)
    opposite = foreign(tmp_path / "o.onnx", -RED_OR_GREEN)
    data = coloured(20, classes=2)
    result = api.evaluate(file, data, against=opposite)
    assert isinstance(result, EvalResult)
    assert (result.top1, result.top5) == (1.0, None)
    assert result.against is not None
    assert (result.against.top1, result.against.agreement) == (0.0, 0.0)


def verified(file: Path, reference: Path, **words: Any) -> ParityReport:
    return api.verify(file, against=reference, data=coloured(), samples=30, **words)


def test_decisions_are_compared_instead_of_the_only_value(tmp_path: Path) -> None:
    file = foreign(tmp_path / "m.onnx", RED_OR_GREEN)
    report = verified(foreign(tmp_path / "o.onnx", -RED_OR_GREEN), file)
    assert not report.passed
    assert report.cases[-1].top1_equal == ()
    assert report.cases[-1].agreement == 0.0
    assert any("decision agreement 0.00% < 100.00%" in one for one in report.cases[-1].failures)
    same = verified(file, foreign(tmp_path / "s.onnx", RED_OR_GREEN))
    assert same.passed
    assert "top-1" not in printed(same)


def test_decisions_that_never_change_are_not_compared(tmp_path: Path) -> None:
    weight = np.array([[0.0], [0.0], [1.0]])
    tail = "s = Abs(z) y = Sum(s, s)"
    file = foreign(tmp_path / "m.onnx", weight, tail)
    report = verified(file, foreign(tmp_path / "s.onnx", weight, tail))
    assert report.cases[-1].agreement is None
    assert "not compared: decisions, as the reference gives all 30 images the same" in printed(
        report
    )


@pytest.mark.parametrize("kind", [None, "embedding", "multi-label"])
def test_the_same_answer_to_every_image_is_not_compared(tmp_path: Path, kind: str | None) -> None:
    zero = np.zeros((3, 3))
    file, same = foreign(tmp_path / "m.onnx", zero), foreign(tmp_path / "s.onnx", zero)
    with pytest.raises(RunnerError, match=r"not compared: y of m\.onnx is the same"):
        verified(file, same, output_kind=kind)


def test_nor_is_it_in_an_evaluation(tmp_path: Path) -> None:
    file = foreign(tmp_path / "m.onnx", EACH)
    constant = foreign(tmp_path / "s.onnx", np.zeros((3, 3)))
    found = api.evaluate(file, coloured(), against=constant, output_kind="embedding")
    assert isinstance(found, AnswerResult)
    assert found.against is not None
    assert found.against.agreement is None
    assert "not compared: the same answers, as s.onnx gives all images the same" in printed(found)


def test_labels_are_all_that_are_likely(tmp_path: Path) -> None:
    file = foreign(tmp_path / "m.onnx", EACH, SIGMOID, names="['red', 'green', 'blue']")
    words: dict[str, Any] = {"output_kind": "multi-label"}
    both = best(file, plain(tmp_path, (200, 20, 200)), **words)
    assert [name for name, _ in both] == ["blue", "red"]
    nothing = plain(tmp_path, (0, 0, 0))
    assert best(file, nothing, **words) == []
    assert "no label" in printed(api.predict(file, nothing, **words))
    logits = foreign(tmp_path / "l.onnx", EACH, names="['red', 'green', 'blue']")
    assert best(logits, plain(tmp_path, (200, 20, 200)), **words) == both


def test_labels_are_evaluated_one_by_one(tmp_path: Path) -> None:
    file = foreign(tmp_path / "m.onnx", EACH, SIGMOID)
    shifted = foreign(tmp_path / "o.onnx", np.roll(EACH, 1, axis=0), SIGMOID)
    result = api.evaluate(file, coloured(), against=shifted, output_kind="multi-label")
    assert isinstance(result, AnswerResult)
    assert result.mean_average_precision == 1.0
    assert 0.8 < (result.recall or 0) < 1.0  # dark pictures are below the threshold
    assert result.precision == 1.0
    assert result.against is not None
    assert result.against.agreement == 0.0
    text = printed(result)
    assert "mAP 100.00%" in text
    assert "top-1" not in text
    with pytest.raises(SpecError, match="which multi-label has not"):
        api.record(file, result)


def test_labels_without_names_that_fit_are_only_compared(tmp_path: Path) -> None:
    four = np.eye(3, 4)
    file, same = foreign(tmp_path / "m.onnx", four), foreign(tmp_path / "s.onnx", four)
    words: dict[str, Any] = {"output_kind": "multi-label"}
    result = api.evaluate(file, coloured(), against=same, **words)
    assert isinstance(result, AnswerResult)
    assert (result.mean_average_precision, result.labels) == (None, ())
    assert result.against is not None
    assert result.against.agreement == 1.0
    assert "not compared: right and wrong (m.onnx on colours" in printed(result)
    with pytest.raises(ResnetDeployError, match="3 classes, the model 4"):
        api.evaluate(file, coloured(), **words)


def test_average_precision_is_that_of_the_order() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    assert average_precision(scores, np.array([True, False, True, False])) == pytest.approx(5 / 6)
    assert average_precision(scores, np.array([True] * 4)) is None
    assert average_precision(scores, np.array([False] * 4)) is None


def test_embeddings_are_evaluated_by_their_neighbours(tmp_path: Path) -> None:
    file = foreign(tmp_path / "m.onnx", EACH, NORMAL)
    turned = foreign(tmp_path / "o.onnx", np.roll(EACH, 1, axis=1), NORMAL)
    result = api.evaluate(file, coloured(), against=turned)
    assert isinstance(result, AnswerResult)
    assert result.same_class == 1.0
    assert result.against is not None
    assert result.against.agreement == 1.0  # turning all of them changes no neighbour
    assert result.against.least_cosine is not None
    assert result.against.least_cosine < 0.9
    text = printed(result)
    assert "cosine" in text
    assert "top-1" not in text


def test_embeddings_need_labels_or_another_model(tmp_path: Path) -> None:
    file = foreign(tmp_path / "m.onnx", EACH, NORMAL)
    data = coloured(labelled=False)
    with pytest.raises(ResnetDeployError, match="or another model with --against"):
        api.evaluate(file, data)
    found = api.evaluate(file, data, against=foreign(tmp_path / "s.onnx", EACH, NORMAL))
    assert isinstance(found, AnswerResult)
    assert found.same_class is None
    assert "not compared: right and wrong, as the images have no labels" in printed(found)


def test_embeddings_are_compared_by_cosine_and_neighbours(tmp_path: Path) -> None:
    file = foreign(tmp_path / "m.onnx", EACH, NORMAL)
    report = verified(file, foreign(tmp_path / "s.onnx", EACH, NORMAL))
    case = report.cases[-1]
    assert report.passed
    assert (case.answer, case.agreement, case.top1_equal) == ("nearest image", 1.0, ())
    assert case.least_cosine == pytest.approx(1)
    assert len(case.cosines) == 30
    assert "top-1" not in printed(report)


def test_an_embedding_names_no_class(tmp_path: Path) -> None:
    file = foreign(tmp_path / "m.onnx", EACH, NORMAL)
    with pytest.raises(UnsupportedGraphError, match=r"gives embedding, not classes .* by cosine"):
        api.predict(file, plain(tmp_path, (9, 9, 9)))
    assert len(best(file, plain(tmp_path, (9, 9, 9)), output_kind="logits")) == 3


def test_what_is_only_assumed_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    picture = plain(tmp_path, (9, 9, 9))
    file = foreign(tmp_path / "m.onnx", EACH)
    api.predict(file, picture)
    assert "taken for logits of classes (assumed; else say --output-kind" in caplog.text
    caplog.clear()
    api.predict(file, picture, output_kind="logits")
    named = foreign(tmp_path / "n.onnx", EACH, names="['red', 'green', 'blue']")
    assert best(named, picture)[0][0] in {"red", "green", "blue"}
    assert "taken for" not in caplog.text


@pytest.mark.parametrize(
    ("weight", "tail", "taken"),
    [
        (EACH, SIGMOID, "probabilities of classes, one a picture .*--output-kind multi-label"),
        (RED_OR_GREEN, "y = Identity(z)", "the logit of one of two classes"),
    ],
)
def test_so_is_what_a_sigmoid_or_one_value_is_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, weight: Any, tail: str, taken: str
) -> None:
    file = foreign(tmp_path / "m.onnx", weight, tail)
    picture = plain(tmp_path, (9, 9, 9))
    api.predict(file, picture)
    assert re.search(taken, caplog.text)
    caplog.clear()
    api.predict(file, picture, output_kind=load(file).output_kind.value)
    assert "taken for" not in caplog.text


def test_the_number_of_a_class_alone_is_refused(tmp_path: Path) -> None:
    text = f"""net (float[N, 3, {SIDE}, {SIDE}] x) => (int64[N, 1] y) {{
        p = GlobalAveragePool(x)
        f = Flatten(p)
        y = ArgMax<axis = 1>(f)
    }}"""
    file = tmp_path / "m.onnx"
    other = tmp_path / "o.onnx"
    for path in (file, other):
        onnx.save(parse(text), path)
    with pytest.raises(UnsupportedGraphError, match="export it without ArgMax"):
        api.predict(file, plain(tmp_path, (9, 9, 9)))
    with pytest.raises(UnsupportedGraphError, match="export it without ArgMax"):
        verified(file, other)


def test_names_that_do_not_fit_are_no_names(tmp_path: Path) -> None:
    file = load(foreign(tmp_path / "m.onnx", EACH, names="['red', 'green']"))
    assert file.labels == ()


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (OutputKind.BINARY, 3, "gives 3 values per image: --output-kind binary is of one"),
        (OutputKind.TOP_K, 3, "has the outputs of one TopK"),
    ],
)
def test_a_file_is_not_what_it_can_not_be(
    tmp_path: Path, kind: OutputKind, values: int, message: str
) -> None:
    file = load(foreign(tmp_path / "m.onnx", np.eye(3, values)))
    with pytest.raises(SpecError, match=message):
        as_kind(file, kind)


def test_one_value_told_to_be_a_probability_is_one(tmp_path: Path) -> None:
    told = as_kind(load(foreign(tmp_path / "m.onnx", RED_OR_GREEN)), OutputKind("probabilities"))
    assert (told.output_kind, told.gives_probabilities) == (OutputKind.BINARY, True)


def test_the_softmax_of_one_value_is_no_answer(tmp_path: Path) -> None:
    file = foreign(tmp_path / "m.onnx", RED_OR_GREEN, "y = Softmax(z)")
    with pytest.raises(UnsupportedGraphError, match="softmax of one value, which is always 1"):
        api.predict(file, plain(tmp_path, (9, 9, 9)))


@pytest.mark.parametrize("kind", ["binary", "multi-label"])
def test_what_a_bundle_has_no_code_for_is_refused(tmp_path: Path, kind: str) -> None:
    weight = RED_OR_GREEN if kind == "binary" else EACH
    file = foreign(tmp_path / "m.onnx", weight, outputs=f"N, {weight.shape[1]}")
    with pytest.raises(UnsupportedGraphError, match=r"two classes|any number of labels"):
        api.bundle(file, "node", tmp_path / "app", output_kind=kind)


def test_what_was_told_is_kept_in_the_card(tmp_path: Path) -> None:
    from resnet_deploy.deployment.source import with_first_card

    file = as_kind(load(foreign(tmp_path / "m.onnx", EACH, SIGMOID)), OutputKind.MULTI_LABEL)
    card = with_first_card(file).card
    assert card is not None
    assert (card.output.kind, card.model.num_classes) == (OutputKind.MULTI_LABEL, 3)
    again = as_kind(replace(file, card=card), OutputKind.SIGMOID)
    assert again.card is not None
    assert again.card.output.kind is OutputKind.SIGMOID
