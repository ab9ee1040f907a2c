"""A small classifier with one layer that int8 ruins, and labelled pictures that it gets right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from PIL import Image

from resnet_deploy.data.preprocess import prepare
from resnet_deploy.spec import InputContract
from tests.support.graphs import noise, parse, run

SIZE = 16
RUINED = "layer1.conv2"

_NET = """
g (float[N,3,16,16] x) => (float[N,2] y) {
  a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, conv1.weight, conv1.bias)
  ar = Relu(a)
  b = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(ar, layer1.conv1.weight, layer1.conv1.bias)
  br = Relu(b)
  c = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(br, layer1.conv2.weight)
  d = Add(c, ar)
  dr = Relu(d)
  e = Conv<kernel_shape=[1,1]>(dr, conv3.weight)
  er = Relu(e)
  p = GlobalAveragePool(er)
  f = Flatten(p)
  y = Gemm<transB=1>(f, fc.weight, fc.bias)
}
"""


def ruined_net(path: Path, folder: Path, *, pictures: int = 64) -> Path:
    """Write the net to ``path`` and its pictures to ``folder``/0 and ``folder``/1.

    In ``layer1.conv2`` one input channel has weights so large that all others round to zero; that
    channel is zero on every picture, so in float they do nothing.
    """
    weights: dict[str, NDArray[np.floating]] = {
        "conv1.weight": noise(16, 3, 3, 3) / 4,
        "conv1.bias": noise(16, seed=1) / 4,
        "layer1.conv1.weight": noise(16, 16, 3, 3, seed=2) / 12,
        "layer1.conv1.bias": noise(16, seed=3) / 4,
        "layer1.conv2.weight": noise(16, 16, 3, 3, seed=4) / 8,
        "conv3.weight": noise(16, 16, 1, 1, seed=5) / 4,
        "fc.weight": noise(2, 16, seed=6),
        "fc.bias": np.zeros(2, np.float32),
    }
    weights["layer1.conv1.weight"][0] = 0
    weights["layer1.conv1.bias"][0] = -1
    weights["layer1.conv2.weight"][:, 0] = 500
    images = [_picture(seed) for seed in range(pictures)]
    spec = InputContract.for_size(SIZE)
    x = np.stack([prepare(Image.fromarray(image), spec) for image in images])
    # Half of the pictures are of each class, as near the border as they come.
    logits = run(parse(_NET, weights), x)
    weights["fc.bias"][0] = -np.median(logits[:, 0] - logits[:, 1])
    model = parse(_NET, weights)
    onnx.save(model, path)
    for number, label in enumerate(run(model, x).argmax(axis=1)):
        file = folder / str(label) / f"{number:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[number]).save(file)
    return path


def _picture(seed: int) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    colour = random.integers(40, 216, 3)
    texture = random.integers(-40, 40, (SIZE, SIZE, 3))
    return (colour + texture).astype(np.uint8)
