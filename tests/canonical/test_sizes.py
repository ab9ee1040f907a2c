"""Batches and sizes that other tools write as 0 or -1."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest

from resnet_deploy.artifact.onnx_file import load, opened_file
from resnet_deploy.canonical.sizes import free_sizes
from resnet_deploy.runners.base import infer_any
from resnet_deploy.runners.ort_runner import OrtRunner
from tests.support.graphs import noise, parse, run

NET = """
g (float[N,3,8,8] x) => (float[N,4,6,6] y) {
  y = Conv(x, w)
}
"""


def _net(taken: list[int | str], given: list[int | str]) -> onnx.ModelProto:
    model: onnx.ModelProto = parse(NET, {"w": noise(4, 3, 3, 3)})
    for value, sizes in ((model.graph.input[0], taken), (model.graph.output[0], given)):
        for dim, size in zip(value.type.tensor_type.shape.dim, sizes, strict=False):
            dim.Clear()
            if isinstance(size, int):
                dim.dim_value = size
            elif size:
                dim.dim_param = size
    return model


@pytest.mark.parametrize(
    ("taken", "given", "shapes"),
    [
        ([0], [0], ((None, 3, 8, 8), (None, 4, 6, 6))),
        ([-1], [-1], ((None, 3, 8, 8), (None, 4, 6, 6))),
        ([0], ["b"], ((None, 3, 8, 8), (None, 4, 6, 6))),
        (["b"], [-1], ((None, 3, 8, 8), (None, 4, 6, 6))),
        ([2], [0], ((2, 3, 8, 8), (2, 4, 6, 6))),
        ([1, 3, -1, -1], [1, 4, -1, 0], ((1, 3, None, None), (1, 4, None, None))),
    ],
)
def test_a_size_below_one_is_free(tmp_path: Path, taken, given, shapes) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(_net(taken, given), path)
    artifact = load(path)
    assert (artifact.input.shape, artifact.output.shape) == shapes


def test_what_is_free_or_fixed_stays_byte_for_byte() -> None:
    every: tuple[list[int | str], ...] = ([1], [4], ["N"], [""])
    for sizes in every:
        model = _net(sizes, sizes)
        before = model.SerializeToString()
        assert free_sizes(model) == 0
        assert model.SerializeToString() == before


def test_a_batch_of_zero_runs_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(_net([0], [0]), path)
    x = noise(3, 3, 8, 8)
    artifact = opened_file(path)
    with closing(OrtRunner(artifact.plain)) as runner:
        got = infer_any(runner, x)
    np.testing.assert_allclose(got, run(_net(["N"], ["N"]), x), atol=1e-5)
