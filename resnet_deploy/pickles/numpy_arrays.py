"""NumPy's arrays and numbers in a pickle, without NumPy's constructors meeting them.

They trust the sizes that a file claims. CIFAR's batches are arrays, Caffe's nets were converted to
dicts of them, and trainers leave ``numpy.float64`` beside the weights.
Source: ``ndarray.__reduce__`` and ``__reduce_ex__``,
https://numpy.org/doc/stable/reference/generated/numpy.ndarray.__setstate__.html.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.pickles.bounds import Budget, Damaged
from resnet_deploy.pickles.stand_ins import StandIn
from resnet_deploy.pickles.unpickler import Builder

_CODES = frozenset({"b1", "f2", "f4", "f8", *(f"{kind}{n}" for kind in "iu" for n in (1, 2, 4, 8))})

_MOST_DIMENSIONS = 32
_LONGEST_WORD = 64
"""Letters of a code, a byte order or the name of an encoding, and bytes of a number."""


class NumpyType:
    """Stands for ``numpy.dtype``: a code such as ``f4``, and the byte order."""

    def __init__(self, code: Any) -> None:
        self._code = _text(code)
        self._order = "="

    def build(self, state: Any) -> None:
        """Take the byte order from ``(version, order, …)``."""
        if not isinstance(state, tuple) or len(state) < 2:
            raise Damaged("a dtype of an unusual kind")
        self._order = _text(state[1])

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """NumPy's own; None of text, objects and records."""
        if self._code not in _CODES:
            return None
        order = self._order if self._order in ("<", ">") else "<"
        return np.dtype(order + self._code)


class NumpyArray:
    """Stands for ``numpy.ndarray``; empty until its state comes."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._state: tuple[Any, NumpyType, bool, bytes] | None = None

    def build(self, state: Any) -> None:
        """Take ``(version, shape, dtype, fortran, data)``; arrays of objects are left empty."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise Damaged("an array of an unusual kind")
        _, shape, dtype, fortran, data = state
        if isinstance(data, str):
            self._budget.storage(len(data))
            data = data.encode("latin-1")
        if isinstance(dtype, NumpyType) and isinstance(data, bytes):
            self._state = shape, dtype, bool(fortran), data

    def array(self) -> NDArray[Any] | None:
        """Return its values, in this machine's byte order; None of text, objects and records.

        Raises:
            Damaged: the shape is not of as many values.
            Refused: the file asks for far more than it holds.
        """
        if self._state is None:
            return None
        shape, stated, fortran, data = self._state
        if (dtype := stated.dtype) is None:
            return None
        if not is_shape(shape) or math.prod(shape) * dtype.itemsize != len(data):
            raise Damaged("an array whose shape is of another size")
        self._budget.storage(len(data))
        flat = np.frombuffer(data, dtype).astype(dtype.newbyteorder("="))
        return flat.reshape(shape, order="F" if fortran else "C")


def is_shape(value: Any) -> bool:
    """Whether ``value`` is a tuple of sizes, none of them absurd."""
    return (
        isinstance(value, tuple)
        and len(value) <= _MOST_DIMENSIONS
        and all(type(size) is int and 0 <= size < 1 << 48 for size in value)
    )


def numpy_builders(budget: Budget) -> dict[str, Builder]:
    """Return what is built for NumPy's names."""

    def array_from_buffer(arguments: tuple[Any, ...]) -> NumpyArray:
        data, dtype, shape, order = arguments
        array = NumpyArray(budget)
        array.build((1, shape, dtype, _text(order) == "F", data))
        return array

    def latin1(arguments: tuple[Any, ...]) -> Any:
        text = arguments[0]
        if not isinstance(text, str) or _text(arguments[-1]) not in ("latin1", "latin-1"):
            return StandIn("_codecs.encode", arguments)
        budget.storage(len(text))
        return text.encode("latin-1")

    return {
        "numpy.dtype": lambda arguments: NumpyType(arguments[0]),
        "numpy.core.multiarray._reconstruct": lambda arguments: NumpyArray(budget),
        "numpy.core.numeric._frombuffer": array_from_buffer,
        "numpy.core.multiarray.scalar": _scalar,
        "_codecs.encode": latin1,
        # How Python 3 writes empty bytes into old pickles.
        "builtins.bytes": lambda arguments: arguments[0] if arguments else b"",
    }


def _scalar(arguments: tuple[Any, ...]) -> Any:
    """Return a number of NumPy's as Python's."""
    stated, data = (*arguments[:2], None)[:2]
    if isinstance(data, str):
        data = data[:_LONGEST_WORD].encode("latin-1")
    dtype = stated.dtype if isinstance(stated, NumpyType) else None
    if dtype is None or not isinstance(data, bytes):
        return StandIn("numpy.core.multiarray.scalar", arguments)
    if len(data) != dtype.itemsize:
        raise Damaged("a number of another size")
    return np.frombuffer(data, dtype)[0].item()


def _text(value: Any) -> str:
    """Return a word; what is none is empty: lists that share parts have no end as text."""
    if isinstance(value, bytes):
        return value[:_LONGEST_WORD].decode("latin-1")
    return value[:_LONGEST_WORD] if isinstance(value, str) else ""
