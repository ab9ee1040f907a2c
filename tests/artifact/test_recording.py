from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from resnet_deploy import api
from resnet_deploy.artifact.card import Accuracy
from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.artifact.recording import recorded
from resnet_deploy.errors import ArtifactError
from tests.support.cards import saved, tiny, tiny_card


def test_recording_changes_the_card_alone(tmp_path: Path) -> None:
    made = saved(tmp_path)
    accuracy = Accuracy(data="test", samples=500, top1=0.8, data_sha256="cd")
    once = api.save(recorded(made, lambda card: card.with_accuracy(accuracy)), made.path)
    better = replace(accuracy, top1=0.9)
    other = replace(accuracy, data_sha256="ef")
    twice = api.save(
        recorded(once, lambda card: card.with_accuracy(other).with_accuracy(better)), made.path
    )
    assert twice == load(made.path)
    assert twice.card is not None
    assert twice.card.accuracy == (other, better)
    assert once.made_sha256 == twice.made_sha256 == made.sha256 != twice.sha256
    assert read_model(made.path).graph == tiny().graph
    assert replace(twice.card.remade(), min_onnxruntime=None) == tiny_card()


def test_a_file_replaced_meanwhile_is_not_recorded_in(tmp_path: Path) -> None:
    measured = saved(tmp_path)
    path = measured.path
    recorded(measured, lambda card: card.with_isas(["x86-avx2"]))
    other = api.save(recorded(measured, lambda card: card.with_isas(["x86-vnni"])), path)
    with pytest.raises(ArtifactError, match="was replaced meanwhile"):
        recorded(measured, lambda card: card.with_isas(["arm64"]))
    assert load(path) == other
    onnx.save(tiny(), path)
    with pytest.raises(ArtifactError, match="no card to record in"):
        recorded(load(path), lambda card: card)
