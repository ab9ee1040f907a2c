from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from resnet_deploy.artifact.card import Accuracy
from resnet_deploy.artifact.onnx_file import load, read_model
from resnet_deploy.artifact.recording import record
from resnet_deploy.errors import ArtifactError
from tests.support.cards import card, saved, tiny


def test_recording_changes_the_card_alone(tmp_path: Path) -> None:
    made = saved(tmp_path)
    accuracy = Accuracy(data="test", samples=500, top1=0.8, data_sha256="cd")
    once = record(made.path, made.sha256, lambda card: card.with_accuracy(accuracy))
    better = replace(accuracy, top1=0.9)
    other = replace(accuracy, data_sha256="ef")
    twice = record(
        made.path, once.sha256, lambda card: card.with_accuracy(other).with_accuracy(better)
    )
    assert twice == load(made.path)
    assert twice.card is not None
    assert twice.card.accuracy == (other, better)
    assert once.made_sha256 == twice.made_sha256 == made.sha256 != twice.sha256
    assert read_model(made.path).graph == tiny().graph
    assert replace(twice.card.remade(), min_onnxruntime=None) == card()


def test_a_file_replaced_meanwhile_is_not_recorded_in(tmp_path: Path) -> None:
    path = saved(tmp_path).path
    before = path.read_bytes()
    with pytest.raises(ArtifactError, match="was replaced meanwhile"):
        record(path, "0" * 64, lambda card: card.with_isas(["arm64"]))
    assert path.read_bytes() == before
    onnx.save(tiny(), path)
    with pytest.raises(ArtifactError, match="no card to record in"):
        record(path, load(path).sha256, lambda card: card)
