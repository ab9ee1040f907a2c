"""Sparse weights."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from resnet_deploy.canonical.sparse import fill_sparse
from resnet_deploy.errors import ArtifactError
from tests.support.graphs import noise, parse

TEXT = """
g (float[N,8] x) => (float[N,4] y) {
  y = Gemm<transB = 1>(x, w)
}
"""


def _sparse(
    dense: np.ndarray, *, coordinates: bool, dims: tuple[int, ...] | None = None
) -> onnx.ModelProto:
    model: onnx.ModelProto = parse(TEXT, {"w": dense})
    del model.graph.initializer[:]
    where = np.argwhere(dense) if coordinates else np.flatnonzero(dense)
    values = numpy_helper.from_array(dense[dense != 0], "w")
    indices = numpy_helper.from_array(where.astype(np.int64), "w_indices")
    tensor = helper.make_sparse_tensor(values, indices, dims or dense.shape)
    model.graph.sparse_initializer.append(tensor)
    return model


@pytest.mark.parametrize("coordinates", [False, True])
def test_zeros_are_filled_in(coordinates: bool) -> None:
    dense = noise(4, 8) * (noise(4, 8, seed=1) > 0)
    model = _sparse(dense, coordinates=coordinates)
    onnx.checker.check_model(model)
    assert fill_sparse(model) == 1
    assert not model.graph.sparse_initializer
    np.testing.assert_array_equal(numpy_helper.to_array(model.graph.initializer[0]), dense)


def test_what_would_fill_the_memory_is_refused() -> None:
    model = _sparse(np.eye(4, 8, dtype=np.float32), coordinates=False, dims=(2**20, 2**20))
    with pytest.raises(ArtifactError, match="too large"):
        fill_sparse(model)
