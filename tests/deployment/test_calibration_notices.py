"""Too few calibration images, and images that a net does not recognise, are said in passing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.data.calibration import calibration_images, synthetic_calibration
from resnet_deploy.deployment.calibration_notices import calibration_notices
from resnet_deploy.spec import InputOptions, Learned
from tests.support.foreign import coloured, foreign

RIGHT, WRONG = np.eye(3), np.zeros((3, 3))


def opened(folder: Path, weight: np.ndarray, names: str = "") -> Artifact:
    artifact = load(foreign(folder / "net.onnx", weight, names=names))
    plain = InputOptions(range="0-1", channel_order="RGB").over(artifact.preprocess, Learned.GRAPH)
    return replace(artifact, preprocess=plain)


def notices(artifact: Artifact, count: int, **more: bool) -> tuple[str, ...]:
    images = calibration_images(coloured(count, **more), artifact.preprocess)
    return calibration_notices(artifact, images, threads=1)


def test_few_images_are_counted(tmp_path: Path) -> None:
    (text,) = notices(opened(tmp_path, RIGHT), 3)
    assert text.startswith("3 calibration images are too few")
    assert notices(opened(tmp_path, RIGHT), 32) == ()


def test_a_net_that_recognises_nothing_is_named_with_what_is_assumed(tmp_path: Path) -> None:
    (text,) = notices(opened(tmp_path, WRONG), 60)
    assert text.startswith("net.onnx: the model is at chance level: right on 33.3% of 60 images")
    assert "is assumed: resize, resize mode, interpolation; say --resize" in text


@pytest.mark.parametrize(
    ("weight", "names", "more"),
    [
        (RIGHT, "", {}),
        (WRONG, "", {"labelled": False}),
        (np.zeros((3, 7)), "", {}),  # other classes than the images': nothing is known of these
    ],
)
def test_otherwise_nothing_is_said(
    tmp_path: Path, weight: np.ndarray, names: str, more: dict[str, bool]
) -> None:
    assert notices(opened(tmp_path, weight, names), 60, **more) == ()


def test_synthetic_images_are_never_counted(tmp_path: Path) -> None:
    artifact = opened(tmp_path, WRONG)
    images = synthetic_calibration(artifact.preprocess, samples=4)
    assert calibration_notices(artifact, images) == ()
