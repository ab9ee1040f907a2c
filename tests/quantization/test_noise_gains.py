"""What the rounding of a tensor does to the outputs is measured one tensor at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from resnet_deploy.progress import silent
from resnet_deploy.quantization.equalize import equalize
from resnet_deploy.quantization.noise_gains import noise_at_outputs
from tests.support.graphs import noise, parse

CHAIN = """
g (float[N,3,12,12] x) => (float[N,4] logits) {
  a = Conv(x, first.weight)
  r = Relu(a)
  b = Conv(r, second.weight)
  s = Relu(b)
  p = GlobalAveragePool(s)
  logits = Flatten(p)
}
"""


def chain(amplified: float = 8.0) -> Any:
    """Each channel for itself, amplified by the second layer."""
    channels = np.eye(4, dtype=np.float32)[:, :, None, None]
    weights = {"first.weight": np.abs(noise(4, 3, 1, 1)), "second.weight": amplified * channels}
    return parse(CHAIN, weights)


def test_a_tensor_in_front_of_a_layer_counts_as_often_as_that_amplifies_it() -> None:
    images = np.abs(noise(20, 3, 12, 12, seed=1))
    steps = {"r": 0.01, "s": 0.01}
    found, signal = noise_at_outputs(
        chain(), steps, [images[:15], images[15:]], len(images), 1, silent
    )
    assert found["r"] / found["s"] == pytest.approx(64, rel=0.5)
    weights = np.abs(noise(4, 3, 1, 1))[:, :, 0, 0]
    logits = 8 * np.einsum("oc,nchw->no", weights, images[:16]) / 144
    assert signal["logits"] == pytest.approx(np.square(logits).sum(axis=1).mean(), rel=1e-4)


def test_the_graph_is_left_as_it_was() -> None:
    model = chain()
    before = model.SerializeToString(deterministic=True)
    noise_at_outputs(model, {"r": 0.1, "p": 0.1}, [noise(2, 3, 12, 12)], 2, 1, silent)
    assert model.SerializeToString(deterministic=True) == before


def test_a_batch_of_fixed_size_is_filled_up() -> None:
    model, images = chain(), np.abs(noise(5, 3, 12, 12, seed=1))
    wanted = noise_at_outputs(model, {"r": 0.1}, [images], len(images), 1, silent)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    found = noise_at_outputs(model, {"r": 0.1}, [images], len(images), 1, silent)
    assert found[0] == pytest.approx(wanted[0], rel=1e-4)
    assert found[1] == pytest.approx(wanted[1], rel=1e-4)


STREAM = """
g (float[N,3,12,12] x) => (float[N,4] logits) {
  a = Conv(x, first.weight)
  r = Relu(a)
  b = Conv(r, second.weight)
  sum = Add(r, b)
  s = Relu(sum)
  p = GlobalAveragePool(r)
  f = Flatten(p)
  early = Gemm<transB=1>(f, early.weight)
  q = GlobalAveragePool(s)
  g = Flatten(q)
  late = Gemm<transB=1>(g, late.weight)
  logits = Add(early, late)
}
"""


def spread(*, thorough: bool, early: float, late: float) -> int:
    """Return how far the factor of the channel that is large in ``s`` is above that in ``r``."""
    weights = {
        "first.weight": np.abs(noise(4, 3, 1, 1))
        * np.array([1, 1, 1, 8], np.float32)[:, None, None, None],
        "second.weight": np.diag(np.array([0, 0, 60, 0], np.float32))[:, :, None, None],
        "early.weight": np.float32(early) * noise(4, 4, seed=2),
        "late.weight": np.float32(late) * noise(4, 4, seed=3),
    }
    images = np.abs(noise(32, 3, 12, 12, seed=1))
    model = parse(STREAM, weights)
    found = equalize(model, [images], images=32, thorough=thorough, threads=1)
    return int(found.exponents["r"][2] - found.exponents["r"][3])


def test_the_tensor_whose_noise_reaches_the_outputs_sets_the_factors() -> None:
    """Both tensors of a stream have one factor a channel; ``r`` wants another than ``s``."""
    first = spread(thorough=True, early=1.0, late=1e-3)
    last = spread(thorough=True, early=1e-3, late=1.0)
    assert first > last
    assert spread(thorough=False, early=1.0, late=1e-3) == spread(
        thorough=False, early=1e-3, late=1.0
    )
