"""The ONNX files that git keeps: as artifacts/README.md says, and of the pretrained net."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from resnet_deploy.artifact.files import sha256_of
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.data.synthetic import synthetic_images
from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.loading.imagenet import CIFAR10_FILE
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec.model_request import ModelRequest

FOLDER = Path(__file__).resolve().parents[1] / "artifacts"
LISTED = re.findall(
    r"^\| `(.+\.onnx)` \| `([0-9a-f]{64})` \|$", (FOLDER / "README.md").read_text(), re.MULTILINE
)


def test_both_kinds_are_listed() -> None:
    assert [name for name, _ in LISTED] == ["resnet20-cifar10.onnx", "resnet20-cifar10.int8.onnx"]


@pytest.mark.parametrize(("name", "sha256"), LISTED)
def test_a_file_is_what_the_page_says(name: str, sha256: str) -> None:
    path = FOLDER / name
    assert sha256_of(path) == sha256
    assert path.stat().st_size < 2e6
    card = load(path).card
    assert card is not None
    assert card.weights.sha256 == sha256_of(CIFAR10_FILE)
    (accuracy,) = card.accuracy
    assert accuracy.samples == 5000
    assert f"{accuracy.top1:.2%}".replace("%", " %") in (FOLDER / "README.md").read_text()


def test_the_fp32_file_computes_what_the_weights_do() -> None:
    pixels = synthetic_images(4, 32, 0).astype(np.float32) / 255
    inputs = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    with torch.inference_mode():
        wanted = resolve(ModelRequest(), "cifar10").module(torch.from_numpy(inputs)).numpy()
    runner = OrtRunner(FOLDER / LISTED[0][0])
    found = runner.infer(inputs)
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())
