"""Tensors of a pickle, built from storages with every size, stride and offset checked.

What PyTorch's ``torch._utils._rebuild_*`` functions do, whose C++ believes what they are given.
Source: https://github.com/pytorch/pytorch/blob/main/torch/_utils.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resnet_deploy.pickles.bounds import Budget, Damaged, Data
from resnet_deploy.pickles.numpy_arrays import NumpyArray, is_shape, numpy_builders
from resnet_deploy.pickles.stand_ins import Named, StandIn
from resnet_deploy.pickles.unpickler import Builder, checked_key

_STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": torch.uint8,
    "QInt8Storage": torch.int8,  # their tensors, with scales, are stand-ins
    "QUInt8Storage": torch.uint8,
    "QInt32Storage": torch.int32,
}

_DTYPES = {str(dtype): dtype for dtype in (*_STORAGES.values(), torch.float8_e4m3fn)}
"""The types that a tensor may have in a storage of bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """Memory of numbers of one type: ``content`` is uint8 ``(bytes,)``."""

    dtype: torch.dtype
    content: Tensor

    def tensor(
        self, offset: Any, size: Any, stride: Any, budget: Budget, dtype: torch.dtype | None = None
    ) -> Tensor:
        """Return the view of ``size`` and ``stride``, from number ``offset`` on.

        Raises:
            Damaged: it would reach beyond the storage.
            Refused: the file asks for far more than it holds.
        """
        dtype = dtype or self.dtype
        whole = len(self.content) // dtype.itemsize
        if not is_shape(size) or not is_shape(stride) or len(size) != len(stride):
            raise Damaged("a tensor of an unusual shape")
        if type(offset) is not int or offset < 0:
            raise Damaged("a tensor of an unusual offset")
        count = math.prod(size)
        if count == 0:
            return torch.empty(size, dtype=dtype)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if last >= whole:
            raise Damaged("a tensor that reaches beyond its storage")
        budget.tensor(count * dtype.itemsize)
        numbers = self.content[: whole * dtype.itemsize].view(dtype)
        return numbers.as_strided(size, stride, offset)


def storage_dtype(kind: Any) -> torch.dtype:
    """Return the type of the storages that a pickle names, as ``torch.FloatStorage``.

    Raises:
        Damaged: it is none of PyTorch's.
    """
    name = kind.name.rpartition(".")[2] if isinstance(kind, Named) else ""
    if name not in _STORAGES:
        said = repr(kind) if isinstance(kind, Named) else type(kind).__name__
        raise Damaged(f"a storage of an unknown kind, {said:.80}")
    return _STORAGES[name]


def copied(data: Data, start: int, count: int, budget: Budget) -> Tensor:
    """Return ``count`` bytes of ``data`` in memory of their own, uint8 ``(count,)``.

    Raises:
        Damaged: there are fewer.
        Refused: the file asks for far more than it holds.
    """
    if not 0 <= count <= len(data) - start:
        raise Damaged("cut short")
    budget.storage(count)
    content = torch.empty(count, dtype=torch.uint8)
    fill(content, data, start)
    return content


def fill(content: Tensor, data: Data, start: int) -> None:
    """Fill ``content``, uint8 ``(bytes,)``, with what is in ``data`` from ``start`` on.

    Raises:
        Damaged: there is less.
    """
    if len(content) > len(data) - start:
        raise Damaged("cut short")
    if len(content):
        content.numpy()[:] = np.frombuffer(data, np.uint8, len(content), start)


def builders(budget: Budget, nested: Callable[[bytes], Any]) -> dict[str, Builder]:
    """Return everything that is really built; all else is a stand-in.

    Args:
        budget: pays for tensors and arrays.
        nested: reads a PyTorch file inside the pickle; ``pickle.dump`` writes storages so.
    """

    def rebuild(arguments: tuple[Any, ...]) -> Any:
        storage, offset, size, stride, *rest = arguments
        flags = rest[2] if len(rest) > 2 else None  # complex conjugates and negatives in waiting
        if flags or not isinstance(storage, Storage):
            return StandIn("torch._utils._rebuild_tensor_v2", arguments)
        return storage.tensor(offset, size, stride, budget)

    def rebuild_v3(arguments: tuple[Any, ...]) -> Any:
        storage, offset, size, stride, _, _, kind, *flags = arguments
        dtype = _DTYPES.get(kind.name) if isinstance(kind, Named) else None
        if any(flags) or dtype is None or not isinstance(storage, Storage):
            return StandIn("torch._utils._rebuild_tensor_v3", arguments)
        return storage.tensor(offset, size, stride, budget, dtype)

    def from_type(arguments: tuple[Any, ...]) -> Any:
        function, kind, given, *_ = arguments
        if isinstance(function, Named) and function.name in table and isinstance(given, tuple):
            budget.copies(len(given))
            return table[function.name](given)
        return StandIn(kind.name if isinstance(kind, Named) else "a tensor", arguments)

    def nested_storage(arguments: tuple[Any, ...]) -> Any:
        (data,) = arguments
        if isinstance(data, str):
            data = data.encode("latin-1")
        if not isinstance(data, bytes):
            raise Damaged("a storage of no bytes")
        budget.storage(len(data))
        return nested(data)

    def mapping(arguments: tuple[Any, ...]) -> dict[Any, Any]:
        given = arguments[-1] if arguments else None
        if isinstance(given, dict):
            return given
        pairs = given if isinstance(given, list) else []
        budget.operation(len(pairs))
        return {checked_key(key, budget): value for key, value in pairs}

    table: dict[str, Builder] = {
        "torch._utils._rebuild_tensor": rebuild,
        "torch._utils._rebuild_tensor_v2": rebuild,
        "torch._utils._rebuild_tensor_v3": rebuild_v3,
        "torch._utils._rebuild_parameter": _first("torch.nn.parameter.Parameter"),
        "torch._utils._rebuild_parameter_with_state": _first("torch.nn.parameter.Parameter"),
        "torch.nn.parameter.Parameter": _first("torch.nn.parameter.Parameter"),
        "torch.nn.parameter.Buffer": _first("torch.nn.parameter.Buffer"),
        "torch._utils._rebuild_device_tensor_from_cpu_tensor": _first("torch.Tensor"),
        "torch._utils._rebuild_device_tensor_from_numpy": _first("torch.Tensor"),
        "torch._utils._rebuild_xla_tensor": _first("torch.Tensor"),
        "torch._tensor._rebuild_from_type_v2": from_type,
        "torch._tensor._rebuild_from_type": from_type,
        "torch.storage._load_from_bytes": nested_storage,
        "torch.Size": _given(()),
        "torch.jit._pickle.restore_type_tag": _given(None),
        "torch.jit._pickle.build_intlist": _given(None),
        "torch.jit._pickle.build_doublelist": _given(None),
        "torch.jit._pickle.build_boollist": _given(None),
        "torch.jit._pickle.build_tensorlist": _given(None),
        "collections.OrderedDict": mapping,
        "collections.defaultdict": mapping,
        "collections.Counter": mapping,
        "builtins.dict": mapping,
        "builtins.set": _given([]),
        "builtins.frozenset": _given([]),
        "builtins.list": _given([]),
        "builtins.bytearray": _given(b""),
        **numpy_builders(budget),
    }
    return table


def _first(name: str) -> Builder:
    """Return a builder that gives its first argument where that is, or stands for, a tensor."""

    def build(arguments: tuple[Any, ...]) -> Any:
        given = arguments[0] if arguments else None
        return (
            given if isinstance(given, Tensor | NumpyArray | StandIn) else StandIn(name, arguments)
        )

    return build


def _given(nothing: Any) -> Builder:
    """Return a builder that passes its only argument on; nothing is copied."""

    def build(arguments: tuple[Any, ...]) -> Any:
        if arguments:
            return arguments[0]
        return list(nothing) if isinstance(nothing, list) else nothing

    return build
