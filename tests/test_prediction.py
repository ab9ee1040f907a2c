from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from PIL import Image

from resnet_deploy.errors import DatasetError, RunnerError, SpecError
from resnet_deploy.evaluation import softmax
from resnet_deploy.prediction import classify
from tests.support.tiny_model import colour_model, save_colour_model


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    paths = []
    for index, colour in enumerate(["red", "lime", "blue"] * 4):
        paths.append(tmp_path / f"{index}.png")
        Image.new("RGB", (20, 12), colour).save(paths[-1])
    return paths


def test_names_what_is_there(tmp_path, images):
    model = save_colour_model(tmp_path / "m.onnx").path
    steps: list[tuple[str, int, int]] = []
    found = classify(model, images, progress=lambda *step: steps.append(step))
    assert [each.image for each in found] == [str(path) for path in images]
    assert [each.classes[0].label for each in found] == ["red", "green", "blue"] * 4
    assert steps[-1] == ("classifying", 12, 12)
    first = found[0].classes
    assert len(first) == 3
    assert sum(each.probability for each in first) == pytest.approx(1, abs=1e-12)
    assert first[0].probability == pytest.approx(np.e / (np.e + 2))
    assert (first[0].logit, first[0].index) == (1.0, 0)
    # Equal logits: the lower class first.
    assert [each.index for each in first[1:]] == [1, 2]


def test_top_k_and_missing_labels(tmp_path, images):
    onnx.save(colour_model(), tmp_path / "foreign.onnx")
    (found,) = classify(tmp_path / "foreign.onnx", images[:1], top_k=2)
    # Normalised with ImageNet's figures, no blue is more than no green.
    assert [each.label for each in found.classes] == ["class 0", "class 2"]


def test_fixed_batch_size(tmp_path, images):
    model = save_colour_model(tmp_path / "m.onnx", shape=(5, 3, 8, 8)).path
    assert [each.classes[0].index for each in classify(model, images)] == [0, 1, 2] * 4


def test_a_softmax_inside_the_net_is_not_repeated(tmp_path, images):
    model = colour_model()
    model.graph.node[-1].output[0] = "scores"
    model.graph.node.append(helper.make_node("Softmax", ["scores"], ["logits"]))
    onnx.save(model, tmp_path / "softmax.onnx")
    (found,) = classify(tmp_path / "softmax.onnx", images[:1], top_k=3)
    assert found.classes[0].index == 0
    # As the net gives them; a second softmax would flatten them.
    assert [each.probability for each in found.classes] == [each.logit for each in found.classes]
    assert sum(each.probability for each in found.classes) == pytest.approx(1, abs=1e-6)


def test_softmax_does_not_overflow():
    assert softmax(np.array([1e4, 1e4, -1e4])).tolist() == [0.5, 0.5, 0.0]


def test_errors(tmp_path, images):
    model = save_colour_model(tmp_path / "m.onnx").path
    with pytest.raises(DatasetError, match="no images"):
        classify(model, [])
    with pytest.raises(SpecError, match="top-k is 0"):
        classify(model, images, top_k=0)
    images[5].write_bytes(images[5].read_bytes()[:40])
    with pytest.raises(DatasetError, match=r"5\.png"):
        classify(model, images)
    broken = save_colour_model(tmp_path / "nan.onnx", np.full((3, 3), np.inf)).path
    with pytest.raises(RunnerError, match=r"NaN or infinity for .*0\.png"):
        classify(broken, images[:1])


def test_a_thousand_outputs_without_names_are_imagenets(tmp_path, images, caplog):
    caplog.set_level(logging.WARNING, logger="resnet_deploy")
    weights = np.zeros((1000, 3))
    weights[954, 0] = 9
    onnx.save(colour_model(weights), tmp_path / "foreign.onnx")
    (found,) = classify(tmp_path / "foreign.onnx", images[:1], top_k=1)
    assert found.classes[0].label == "banana"
    assert caplog.messages == [
        "foreign.onnx names no classes: its 1000 outputs are taken for ImageNet's"
    ]
    # Untrained weights know no bananas.
    model = save_colour_model(tmp_path / "random.onnx", weights, labels=()).path
    (unnamed,) = classify(model, images[:1], top_k=1)
    assert unnamed.classes[0].label == "class 954"
