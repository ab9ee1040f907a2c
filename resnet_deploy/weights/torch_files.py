"""PyTorch's files, zip archives and those before them, and pickles of tensors or arrays.

Source: https://github.com/pytorch/pytorch/blob/main/torch/serialization.py, ``_save``,
``_legacy_save``; for TorchScript ``torch/csrc/jit/docs/serialization.md``.
"""

from __future__ import annotations

import io
import mmap
import sys
import zipfile
import zlib
from typing import Any

import torch
from torch import Tensor

from resnet_deploy.pickles.bounds import Budget, Damaged, Data, Refused
from resnet_deploy.pickles.unpickler import Unpickler
from resnet_deploy.weights.foreign import kind_of_zip
from resnet_deploy.weights.tensors import Storage, builders, copied, fill, storage_dtype

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_LOCAL_HEADER_BYTES = 30
_ENCRYPTED = 1

_LONGEST_ID = 8
_LONGEST_KEY = 200
"""Parts of what names a storage, and letters of its key; PyTorch writes up to six, and numbers."""


def read_torch(data: Data, budget: Budget) -> Any:
    """Return what a file or pickle of PyTorch's holds, by its first bytes.

    Raises:
        Damaged: it breaks the rules of its format; other exceptions of Python's may come as well.
        Refused: it is of another kind, asks for too much, or for code.
    """
    if data[:4] == b"PK\x03\x04":
        return _read_zip(data, budget)
    return _read_pickles(data, budget)


class _Archive:
    """The entries of a zip file below the folder that all of them lie in."""

    def __init__(self, data: Data, budget: Budget) -> None:
        self._data, self._budget = data, budget
        stream = data if isinstance(data, mmap.mmap) else io.BytesIO(data)
        with zipfile.ZipFile(stream) as archive:  # type: ignore[arg-type]  # a map is a file, too
            entries = archive.infolist()
        self._entries = {entry.filename: entry for entry in entries}
        if len(self._entries) != len(entries):
            raise Damaged("two entries of one name")
        roots = [name[:-8] for name in self._entries if ("/" + name).endswith("/data.pkl")]
        if kind := kind_of_zip(self._entries):
            raise Refused(kind)
        if not roots:
            raise Refused("is a zip archive, not a PyTorch checkpoint: unpack it, and give the "
                          "weights file in it")  # fmt: skip
        self._root = min(roots, key=len)

    def __contains__(self, name: str) -> bool:
        return self._root + name in self._entries

    def read(self, name: str) -> Tensor:
        """Return the bytes of an entry in memory of their own, uint8."""
        entry = self._entries.get(self._root + name)
        if entry is None:
            raise Damaged(f"no {name[:40]!r} in it")
        if entry.flag_bits & _ENCRYPTED:
            raise Refused("is an encrypted archive: unpack it first")
        header = entry.header_offset
        if self._data[header : header + 4] != b"PK\x03\x04":
            raise Damaged("an entry that is not where it should be")
        lengths = self._data[header + 26 : header + _LOCAL_HEADER_BYTES]
        names, extra = (int.from_bytes(part, "little") for part in (lengths[:2], lengths[2:]))
        start = header + _LOCAL_HEADER_BYTES + names + extra
        if entry.compress_type == zipfile.ZIP_STORED:
            return copied(self._data, start, entry.file_size, self._budget)
        if entry.compress_type != zipfile.ZIP_DEFLATED:
            raise Refused("is a zip archive of an unusual compression: unpack it first")
        # What is read counts as well: many entries may claim the same megabytes.
        self._budget.storage(max(entry.file_size, entry.compress_size))
        packed = self._data[start : start + entry.compress_size]
        content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, entry.file_size + 1)
        if len(content) != entry.file_size:
            raise Damaged("an entry of another size")
        return torch.frombuffer(bytearray(content), dtype=torch.uint8)

    def text(self, name: str) -> bytes:
        """Return the bytes of an entry."""
        return self.read(name).numpy().tobytes()


def _read_zip(data: Data, budget: Budget) -> Any:
    archive = _Archive(data, budget)
    if "byteorder" in archive and archive.text("byteorder") != sys.byteorder.encode():
        raise Refused("was saved on a machine of another byte order: save it again on this one")
    storages: dict[str, Tensor] = {}

    def storage(identity: Any) -> Any:
        kind, dtype, key, _, count = _storage_id(identity)
        if kind != "storage":
            raise Damaged("an unknown persistent id")
        if key not in storages:
            storages[key] = archive.read(f"data/{key}") if count else torch.empty(0).byte()
        return _checked_storage(dtype, storages[key], count)

    content = _unpickler(archive.text("data.pkl"), budget, storage).load()
    if "constants.pkl" in archive and not storages:
        raise Refused(
            "is a frozen TorchScript archive, whose weights are constants of its code: save "
            "model.state_dict() of the original model instead"
        )
    return content


def _read_pickles(data: Data, budget: Budget) -> Any:
    """Read a file of PyTorch's before 1.6 (three pickles, the content, storages), or a pickle."""
    memory: dict[str, Tensor] = {}
    itemsizes: dict[str, int] = {}
    views: dict[str, Tensor] = {}

    def storage(identity: Any) -> Any:
        if isinstance(identity, tuple) and identity and _text(identity[0]) == "module":
            return identity[1]  # a class, with its source
        _, kind, key, _, count, *view = _storage_id(identity)
        dtype = storage_dtype(kind)
        if key not in memory:
            size = count * dtype.itemsize
            if size > len(data):
                raise Damaged("cut short")
            budget.storage(size)
            memory[key] = torch.empty(size, dtype=torch.uint8)
            itemsizes[key] = dtype.itemsize
        if not view or view[0] is None:
            return _checked_storage(kind, memory[key], count)
        view_key, offset, length = view[0]
        first, size = int(offset) * dtype.itemsize, int(length) * dtype.itemsize
        if first < 0 or size < 0 or first + size > len(memory[key]):
            raise Damaged("a view that reaches beyond its storage")
        return Storage(dtype, views.setdefault(_text(view_key), memory[key][first : first + size]))

    first = _unpickler(data, budget, storage)
    content = first.load()
    if type(content) is not int or content != _LEGACY_MAGIC:
        if memory:
            raise Damaged("storages in a pickle that has none")
        return content
    position = first.position

    def following() -> Any:
        nonlocal position
        machine = _unpickler(data, budget, storage, position)
        value, position = machine.load(), machine.position
        return value

    if following() != _LEGACY_PROTOCOL:
        raise Damaged("an unknown version of the format")
    following()  # the sizes of C's types, where it was saved
    content = following()
    keys = following()
    if not isinstance(keys, list) or {_text(key) for key in keys} != set(memory):
        raise Damaged("other storages than its tensors need")
    for key in keys:
        target, size = memory[_text(key)], itemsizes[_text(key)]
        count = int.from_bytes(data[position : position + 8], "little")
        if count * size != len(target):
            raise Damaged("a storage of another size")
        fill(target, data, position + 8)
        position += 8 + len(target)
    return content


def _unpickler(data: Data, budget: Budget, storage: Any, position: int = 0) -> Unpickler:
    table = builders(budget, lambda inner: read_torch(inner, budget))
    return Unpickler(data, builders=table, persistent=storage, budget=budget, position=position)


def _storage_id(identity: Any) -> tuple[Any, ...]:
    """Return ``("storage", type, key, location, count, …)``, with text for Python 2's bytes."""
    known = isinstance(identity, tuple) and 5 <= len(identity) <= _LONGEST_ID
    if not known or type(identity[4]) is not int:
        raise Damaged("an unknown persistent id")
    kind, dtype, key, *rest = identity
    if rest[1] < 0:
        raise Damaged("a storage of a negative size")
    return _text(kind), dtype, _text(key), *rest


def _checked_storage(kind: Any, content: Tensor, count: int) -> Storage:
    dtype = storage_dtype(kind)
    if count * dtype.itemsize > len(content):
        raise Damaged("a storage of another size")
    return Storage(dtype, content[: count * dtype.itemsize])


def _text(value: Any) -> str:
    """Return a short text or a number as text; lists that share parts have no end as such."""
    if not isinstance(value, int) and not (
        isinstance(value, str | bytes) and len(value) <= _LONGEST_KEY
    ):
        raise Damaged("an unknown persistent id")
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
