"""A grey net and one of RGBA from training to files: every verb feeds the channels they take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resnet_deploy import api
from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.data.preprocess import prepare
from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.models.network import Network
from resnet_deploy.spec import InputContract, InputFormat
from resnet_deploy.spec.training import Precision

SIZE = 16


def _pictures(path: Path, channels: int) -> Path:
    """Write an ``.npz`` of noise; class 1 is lighter, or more opaque, in its last channel."""
    draws = np.random.RandomState(0)
    arrays: dict[str, Any] = {}
    for part, count in (("train", 24), ("test", 8)):
        labels = np.arange(count) % 2
        images = draws.randint(0, 120, (count, SIZE, SIZE, channels))
        images[..., -1] += 120 * labels[:, None, None]
        arrays |= {f"x_{part}": images.astype(np.uint8), f"y_{part}": labels}
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module", params=[1, 4])
def trained(request, tmp_path_factory) -> tuple[Network, Path, int]:
    channels = request.param
    folder = tmp_path_factory.mktemp("trained")
    data = _pictures(folder / "data.npz", channels)
    api.train(
        data,
        folder / "run",
        depth=8,
        in_channels=channels,
        image_size=SIZE,
        epochs=1,
        batch_size=8,
        precision=Precision.FLOAT32.value,
        mean=(0.5,),
        std=(0.25,),
        threads=1,
    )
    network = api.load(folder / "run")
    assert isinstance(network, Network)
    return network, data, channels


def test_the_card_of_the_weights_has_the_channels(trained):
    network, _, channels = trained
    card = network.card
    assert card is not None
    assert card.model.in_channels == channels
    assert card.preprocess.mean == (0.5,) * channels
    assert network.preprocess.assumed == ()


def test_every_verb_takes_its_files(trained, tmp_path):
    network, data, channels = trained
    form = InputFormat.UINT8_NHWC if channels == 1 else InputFormat.FLOAT_NCHW
    fp32 = api.save(api.export(network, input=form.value, simplify=False), tmp_path / "net.onnx")
    assert isinstance(fp32, Artifact)
    assert fp32.input.shape[1:] == fp32.preprocess.shape
    assert fp32.preprocess.channels == channels
    assert api.verify(fp32, against=network).passed
    int8 = api.save(api.quantize(fp32, calibration=data), tmp_path / "net.int8.onnx")
    assert api.evaluate(int8, data=data).samples == 8
    picture = tmp_path / "picture.png"
    Image.fromarray(np.full((20, 30, 4), 90, np.uint8)).save(picture)
    (answer,) = api.predict(int8, [picture]).predictions
    assert len(answer.classes) == 2
    if channels == 4:
        with pytest.raises(UnsupportedGraphError, match="4 channels"):
            api.bundle(fp32, "node", tmp_path / "app")
    else:
        assert api.bundle(fp32, "node", tmp_path / "app").sizes


def test_opacity_reaches_an_input_of_rgba_alone():
    picture = Image.fromarray(np.full((8, 8, 4), (200, 100, 50, 0), np.uint8))
    rgba = InputContract.for_size(8, channels=4)
    rgb, grey = InputContract.for_size(8), InputContract.for_size(8, channels=1)
    values = prepare(picture, rgba)
    assert values.shape == (4, 8, 8)
    assert np.all(values[3] == 0)
    white = Image.new("RGB", (8, 8), "white")
    assert np.array_equal(prepare(picture, rgb), prepare(white, rgb))
    assert np.array_equal(prepare(picture, grey), prepare(white, grey))
    assert np.all(prepare(white, rgba)[3] == 1)
