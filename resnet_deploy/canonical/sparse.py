"""Weights stored as their values other than zero  =>  plain initializers.

ONNX Runtime fills in the zeros when it loads a file (``GraphProto.sparse_initializer``).
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import numpy_helper

from resnet_deploy.errors import ArtifactError, one_line

_MOST_ELEMENTS = 2**28
"""Of one weight: a gigabyte. A few bytes can stand for any number of zeros."""


def fill_sparse(model: onnx.ModelProto) -> int:
    """Store sparse initializers of ``model`` with their zeros; return how many there were.

    Raises:
        ArtifactError: one would be too large, or can't be read.
    """
    sparse = list(model.graph.sparse_initializer)
    for tensor in sparse:
        model.graph.initializer.append(_dense(tensor))
    if sparse:
        del model.graph.sparse_initializer[:]
    return len(sparse)


def _dense(tensor: onnx.SparseTensorProto) -> onnx.TensorProto:
    name, dims = tensor.values.name, tuple(tensor.dims)
    if math.prod(dims) > _MOST_ELEMENTS:
        raise ArtifactError(f"sparse weight {name!r} of shape {list(dims)} is too large")
    try:
        values = numpy_helper.to_array(tensor.values)
        indices = numpy_helper.to_array(tensor.indices)
        filled = np.zeros(dims, values.dtype)
        # Positions in the flat array, or one row of coordinates each.
        where = indices if indices.ndim == 1 else np.ravel_multi_index(tuple(indices.T), dims)
        filled.reshape(-1)[where] = values
    except (ValueError, TypeError, IndexError) as error:
        raise ArtifactError(f"sparse weight {name!r} can't be read: {one_line(error)}") from error
    return numpy_helper.from_array(filled, name)
