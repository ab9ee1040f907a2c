"""What all peers start from: the fp32 file, the state dict, and the calibration images."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from peers.catalog import IMAGENET_DEPTHS
from peers.environments import BENCH
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.data.calibration import CalibrationImages, calibration_images
from resnet_deploy.data.datasets import open_dataset
from resnet_deploy.data.loader import prepared_batches
from resnet_deploy.data.preprocess import input_preprocess
from resnet_deploy.spec import InputFormat

WORK = BENCH / ".peers"
IMAGENET_IMAGES = 64
CIFAR_IMAGES = 512


@dataclass(frozen=True, kw_only=True)
class Net:
    """A network and where its files are; ``test`` is empty where there are no labels to compare."""

    name: str
    depth: int
    image_size: int
    macs: int
    folder: Path

    @property
    def fp32(self) -> Path:
        return self.folder / f"{self.name}.onnx"

    @property
    def weights(self) -> Path:
        return self.folder / "weights.pt"

    @property
    def photos(self) -> Path:
        return self.folder / "photos"

    @property
    def pixels(self) -> Path:
        """The calibration images as PNG files of the net's input size."""
        return self.folder / "pixels"

    @property
    def calibration(self) -> Path:
        return self.folder / "calibration.npy"

    @property
    def test(self) -> Path:
        return self.folder / "test.npy"

    @property
    def test_bytes(self) -> Path:
        """The same as pixels, ``(N, H, W, 3)``."""
        return self.folder / "test-bytes.npy"


def prepare(depth: int, images: Path | None, checkpoint: Path | None, test: Path | None) -> Net:
    """Return ResNet-``depth``, ready for all peers; what is there already is kept.

    ``images`` calibrate; without them synthetic images do.
    """
    folder = WORK / f"resnet{depth}"
    stored = folder / "net.json"
    if not stored.exists():
        _prepare(folder, depth, images, checkpoint, test)
    known = json.loads(stored.read_text(encoding="utf-8"))
    return Net(folder=folder, depth=depth, **known)


def _prepare(
    folder: Path, depth: int, images: Path | None, checkpoint: Path | None, test: Path | None
) -> None:
    import torch

    from resnet_deploy.loading.checkpoint import resolve
    from resnet_deploy.spec.model_request import ModelRequest

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    weights = str(checkpoint.absolute()) if checkpoint else "random"
    _ours("export", "--depth", depth, "--weights", weights, "--no-int8", "-q", "-o", folder)
    loaded = resolve(ModelRequest(depth=depth), weights)
    torch.save({"depth": depth, "state": loaded.module.state_dict()}, folder / "weights.pt")
    fp32 = folder / f"{loaded.spec.name}.onnx"
    count = IMAGENET_IMAGES if depth in IMAGENET_DEPTHS else CIFAR_IMAGES
    _write_calibration(folder, fp32, images, count)
    if test:
        spec, data = input_preprocess(load(fp32)), open_dataset(test)
        specs = (spec, replace(spec, format=InputFormat.UINT8_NHWC))
        batches = list(prepared_batches(data, range(len(data)), specs, batch_size=100))
        for name, place in (("test", 0), ("test-bytes", 1)):
            np.save(folder / f"{name}.npy", np.concatenate([b.inputs[place] for b in batches]))
    _ours("summary", fp32, "--json", folder / "summary.json")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    known = {"name": fp32.stem, "image_size": loaded.spec.image_size, "macs": summary["macs"]}
    (folder / "net.json").write_text(json.dumps(known), encoding="utf-8")


def _write_calibration(folder: Path, fp32: Path, images: Path | None, count: int) -> None:
    """Write the images three times: files, pixels as the net sees them, and tensors."""
    spec = input_preprocess(load(fp32))
    photos, pixels = folder / "photos", folder / "pixels"
    photos.mkdir()
    pixels.mkdir()
    if images is None:
        from resnet_deploy.data.calibration import synthetic_calibration

        chosen = synthetic_calibration(spec, samples=count)
    else:
        chosen = calibration_images(images, spec, samples=count)
    for number, index in enumerate(chosen.indices):
        chosen.dataset.image(index).convert("RGB").save(photos / f"{number:04}.png")
    # The tensors are of the PNG files, so that all peers see the same, in the same order.
    everything = calibration_images(photos, spec, samples=count)
    np.save(folder / "calibration.npy", np.concatenate(list(everything)))
    _write_pixels(everything, pixels)


def _write_pixels(images: CalibrationImages, folder: Path) -> None:
    raw = replace(images, preprocess=replace(images.preprocess, format=InputFormat.UINT8_NHWC))
    number = 0
    for batch in raw:
        for image in batch:
            Image.fromarray(image).save(folder / f"{number:04}.png")
            number += 1


def _ours(*arguments: object) -> None:
    command = [sys.executable, "-m", "resnet_deploy", *(str(argument) for argument in arguments)]
    subprocess.run(command, check=True, capture_output=True)
