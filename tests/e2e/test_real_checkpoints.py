"""The main job on real weights and real images: CIFAR-10 ResNets of He et al., section 4.2."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from resnet_deploy.data.datasets import open_dataset
from resnet_deploy.data.preprocess import prepare
from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.spec import InputContract
from resnet_deploy.spec.model_request import ModelRequest
from tests.support.cli import run

CHECKPOINTS = {20: "resnet20-12fca82f.th", 32: "resnet32-d509ac18.th"}


def evaluated(model: Path, data: Path, against: Path, folder: Path, *few: object) -> dict[str, Any]:
    report = folder / "evaluation.json"
    done = run("evaluate", model, "--data", data, "--against", against, *few, "--json", report)
    assert done.exit_code == 0, done.stderr
    result: dict[str, Any] = json.loads(report.read_text())
    return result


@pytest.fixture(scope="module")
def prepared(cifar10_test: Path) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """All test images in batches, and their labels."""
    dataset = open_dataset(cifar10_test)
    batches = []
    for start in range(0, len(dataset), 250):
        chunk = range(start, min(start + 250, len(dataset)))
        images = [prepare(dataset.image(i), InputContract.for_size(32)) for i in chunk]
        labels = torch.tensor([dataset.label(i) for i in chunk])
        batches.append((torch.from_numpy(np.stack(images)), labels))
    return batches


def pytorch_top1(checkpoint: Path, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Top-1 of the original net, BatchNorm not folded, in PyTorch."""
    module = resolve(ModelRequest(), str(checkpoint)).module
    with torch.inference_mode():
        right = sum(int((module(images).argmax(1) == labels).sum()) for images, labels in batches)
    return right / sum(len(labels) for _, labels in batches)


@pytest.fixture(scope="module")
def exported(
    shared_data: Path, cifar10_train: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], Path]:
    """Return the folder of the files of the net of a depth, exported once."""

    @cache
    def export(depth: int) -> Path:
        folder = tmp_path_factory.mktemp(f"resnet{depth}")
        checkpoint = shared_data / "cifar10/checkpoints" / CHECKPOINTS[depth]
        # The depth is read from the weights for one of the two; the other has no witness to hear.
        name = ("--depth", depth) if depth == 20 else ("--no-witness",)
        images = ("--calibration", cifar10_train)
        done = run("export", *name, "--weights", checkpoint, *images, "-o", folder)
        assert done.exit_code == 0, done.stderr
        return folder

    return export


@pytest.mark.slow
@pytest.mark.parametrize("depth", CHECKPOINTS)
def test_accuracy_survives(
    depth: int,
    shared_data: Path,
    exported: Callable[[int], Path],
    cifar10_test: Path,
    prepared: list[tuple[torch.Tensor, torch.Tensor]],
    tmp_path: Path,
) -> None:
    checkpoint = shared_data / "cifar10/checkpoints" / CHECKPOINTS[depth]
    folder = exported(depth)
    fp32, int8 = folder / f"resnet{depth}.onnx", folder / f"resnet{depth}.int8.onnx"

    result = evaluated(int8, cifar10_test, fp32, tmp_path)

    assert result["samples"] == 5000
    assert result["against"]["top1"] == pytorch_top1(checkpoint, prepared)
    assert abs(result["top1"] - result["against"]["top1"]) <= 0.003
    assert result["against"]["agreement"] >= 0.98
    assert result["against"]["sqnr_db"] > 27
    assert run("verify", fp32, "--against", checkpoint, "--per-layer").exit_code == 0
    assert run("verify", int8, "--data", cifar10_test).exit_code == 0


@pytest.mark.slow
def test_photos_through_resnet18(photos: Path, tmp_path: Path) -> None:
    """Untrained weights, real photos: decoding, calibration and the fast graph at 224 pixels."""
    some = tmp_path / "some"
    some.mkdir()
    for photo in sorted(photos.iterdir())[::3]:
        shutil.copy(photo, some)
    images = ("--calibration", some, "--calibration-samples", 32)
    done = run("export", "--depth", 18, *images, "-o", tmp_path, "--no-simplify")
    assert done.exit_code == 0, done.stdout + done.stderr
    assert "18 QLinearConv" not in done.stdout  # 20 with the projections
    assert "20 QLinearConv" in done.stdout
    names = sorted(photos.iterdir())[:3]
    done = run("predict", tmp_path / "resnet18.int8.onnx", *names)
    assert done.exit_code == 0, done.stderr
    assert names[0].name in done.stdout


@pytest.mark.slow
def test_bytes_lose_nothing_on_a_real_checkpoint(
    shared_data: Path,
    exported: Callable[[int], Path],
    cifar10_train: Path,
    cifar10_test: Path,
    tmp_path: Path,
) -> None:
    checkpoint = shared_data / "cifar10/checkpoints" / CHECKPOINTS[20]
    given = ("--calibration", cifar10_train, "--no-witness", "--input", "uint8-nhwc")
    done = run("export", "--weights", checkpoint, *given, "-o", tmp_path)
    assert done.exit_code == 0, done.stderr
    reference, few = exported(20) / "resnet20.onnx", ("--limit", 1000)

    fp32 = evaluated(tmp_path / "resnet20.onnx", cifar10_test, reference, tmp_path, *few)
    int8 = evaluated(tmp_path / "resnet20.int8.onnx", cifar10_test, reference, tmp_path, *few)

    assert fp32["against"]["agreement"] == 1.0
    assert fp32["against"]["sqnr_db"] > 100
    # Over floats it is 31.5 dB.
    assert int8["against"]["sqnr_db"] > 31.0
    assert int8["against"]["agreement"] >= 0.985


@pytest.mark.slow
def test_photos_of_any_size_are_resized_in_the_graph(photos: Path, tmp_path: Path) -> None:
    done = run(
        *("export", "--depth", 18, "--calibration", photos, "--calibration-samples", 48),
        *("--input", "uint8-nhwc"),
        *("--resize-in-graph", "--no-int8", "-o", tmp_path),
    )
    assert done.exit_code == 0, done.stdout + done.stderr
    assert "at most 1 grey level off Pillow on 39 images" in done.stdout
    names = sorted(photos.iterdir())[:3]
    done = run("predict", tmp_path / "resnet18.onnx", *names, "--json")
    assert done.exit_code == 0, done.stderr
    assert len(json.loads(done.stdout)) == 3 or "classes" in done.stdout
