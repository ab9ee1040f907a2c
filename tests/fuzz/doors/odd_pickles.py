"""Seeds that PyTorch does not write today: pickles by hand, archives packed otherwise."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import deque
from typing import Any, Final

_BY_HAND: Final = (
    b"(0I1\n.",  # a mark taken off an empty stack
    b"\x80\x02cfoo\nBag\n)\x81(X\x01\x00\x00\x00aK\x01u.",  # entries of a class of dicts
    b"\x80\x02cfoo\nBag\n)\x81(K\x01K\x02e.",  # elements of a class of lists
    b"\x80\x02cfoo\nBag\n)\x81}X\x01\x00\x00\x00aK\x01s}\x86b.",  # a state, and one of slots
    b"\x80\x02}Q.",
    b"\x80\x04K\x01K\x02\x93.",
    b"\x80\x04cfoo\nBag\n)}X\x01\x00\x00\x00aK\x01s\x92.",
    b"\x80\x04cfoo\nBag\n)}\x92.",
    b"\x80\x02K\x01)R.",
    b"\x80\x02cfoo\nBag\nK\x01R.",
    b"\x80\x02ccopyreg\n__newobj__\nK\x01\x85R.",
    b"\x80\x02}\x8b" + (300).to_bytes(4, "little") + b"\x7f" * 300 + b"K\x01s.",
    b"\x80\x02}]K\x01s.",
    b"\x80\x02}(" + b"(K\x01K\x02t" * 700 + b"tK\x01s.",
    b"\x80\x02\x8b" + (2000).to_bytes(4, "little") + b"\x7f" * 2000 + b".",
    b"Sabc\n.",
    b"\x80\x02(K\x01K\x02u.",
    b"\x80\x02K\x01K\x02a.",
    b"\x80\x02h\x09.",
    b"\x80\x02ccopy_reg\n_reconstructor\n(cfoo\nBag\nc__builtin__\nobject\nNtR}b.",
    b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00f4K\x00K\x01\x87RK\x01b.",
    b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)RK\x01b.",
    b"\x80\x02cnumpy.core.multiarray\nscalar\nK\x01U\x01ab\x86R.",
    b"\x80\x02cnumpy.core.multiarray\nscalar\nK\x01K\x02\x86R.",
    b"\x80\x02ctorch\nFloatStorage\nK\x01Q.",
)
"""Of objects, names, calls and keys, most of them wrong."""


def pickles() -> list[bytes]:
    """Return pickles of one value, or of arrays, in the ways of several releases."""
    import numpy as np

    column = np.asfortranarray(np.ones((2, 3), np.float32))
    contents: tuple[Any, ...] = (
        {"conv.weight": np.ones((2, 1, 1, 1), np.float32), "column": column},
        {"a": deque([1, 2]), "text": np.array(["x"]), "large": np.ones(2, np.uint32)},
    )
    found = [pickle.dumps(content, 5) for content in contents]
    for old in (_array(b"f4", 4), _array(b"f4", 3), _array(b"O8", 8), _array(b"u4", 4)):
        found.append(old)
    return [*found, *_BY_HAND]


def _array(code: bytes, count: int) -> bytes:
    """Return one number in an array, as Python 2 wrote it: the bytes are text."""
    dtype = b"cnumpy\ndtype\n(S'" + code + b"'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    state = b"(I1\n(I1\nt" + dtype + b"I00\nS'" + b"\\x01" * count + b"'\ntb"
    scalar = b"cnumpy.core.multiarray\nscalar\n(" + dtype + b"S'" + b"\\x01" * count + b"'\ntR"
    return b"(dS'conv.weight'\n" + array + state + b"sS'loss'\n" + scalar + b"s."


def archives(saved: bytes) -> list[bytes]:
    """Return the archive ``saved`` packed in other ways, and some that lack a part of it."""
    with zipfile.ZipFile(io.BytesIO(saved)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    root = min(name.partition("/")[0] for name in entries)
    bare = {name: data for name, data in entries.items() if "/data/" not in name}
    frozen = {f"{root}/data.pkl": b"\x80\x02}.", f"{root}/constants.pkl": b"\x80\x02)."}
    packed = [
        _zip(entries, zipfile.ZIP_DEFLATED),
        _zip(entries, zipfile.ZIP_BZIP2),
        _zip({**entries, f"{root}/byteorder": b"big"}),
        _zip(bare),
        _zip({**bare, **{name: b"" for name in entries if "/data/" in name}}),
        _zip(frozen),
        _zip({"a.txt": b""}),
    ]
    # Of the first entry, in the list at the end: that it is encrypted.
    flags = packed[0].index(b"PK\x01\x02") + 8
    packed.append(packed[0][:flags] + b"\x01" + packed[0][flags + 1 :])
    # And that it has more bytes.
    size = packed[0].index(b"PK\x01\x02") + 24
    packed.append(packed[0][:size] + b"\xff\x00\x00\x00" + packed[0][size + 4 :])
    # And that it lies elsewhere.
    place = packed[0].index(b"PK\x01\x02") + 42
    return [*packed, packed[0][:place] + b"\x05\x00\x00\x00" + packed[0][place + 4 :]]


def _zip(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return stream.getvalue()


def modules() -> list[bytes]:
    """Return whole modules: compiled, traced by torch.fx, of before PyTorch 1.6, endless ones."""
    import torch

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.BatchNorm2d(2))
    compiled, traced, old = io.BytesIO(), io.BytesIO(), io.BytesIO()
    torch.jit.save(torch.jit.script(net), compiled)
    torch.save(torch.fx.symbolic_trace(net), traced)
    torch.save(net, old, _use_new_zipfile_serialization=False)
    itself, quantized = torch.nn.Sequential(), torch.nn.Sequential()
    itself.add_module("again", itself)
    of_integers: Any = torch.ao.nn.quantized
    quantized.add_module("conv", of_integers.Conv2d(3, 2, 1))
    shaped = [compiled.getvalue(), traced.getvalue(), old.getvalue()]
    for module in (itself, quantized):
        stream = io.BytesIO()
        torch.save(module, stream)
        shaped.append(stream.getvalue())
    return shaped


def wrapped() -> list[Any]:
    """Return nets in the dicts and lists of training scripts: averages, copies, layer by layer."""
    import torch

    def net(channels: int = 2, *, norm: bool = True, prefix: str = "") -> dict[str, Any]:
        part = torch.nn.Sequential(torch.nn.Conv2d(1, channels, 1))
        if norm:
            part.append(torch.nn.BatchNorm2d(channels))
        return {f"{prefix}{key}": value for key, value in part.state_dict().items()}

    def parameters(state: dict[str, Any]) -> dict[str, Any]:
        return {key: value / 2 for key, value in state.items() if "running" not in key}

    usual, plain = net(), net(norm=False)
    named = {key: value for key, value in parameters(usual).items() if "tracked" not in key}
    return [
        {"model": usual, "teacher": net(3)},
        {"ema": usual},
        {"model": usual, "ema": 0.9, "swa": {}},
        {"model": usual, "discriminator": net(3), "critic": net(4)},
        {"conv.weight": torch.ones(2, 1, 1, 1), "conv.bias": "x"},
        {"layers": {f"l{number}": {"weight": torch.ones(2, 2, 1, 1)} for number in range(7)}},
        {"model": net(prefix="module."), "ema": named},
        {"model": usual, "ema": {f"module.{key}": value for key, value in named.items()}},
        {"model": usual, "ema": {f"other{key}": value for key, value in named.items()}},
        {"model": plain, "ema": {key: value / 2 for key, value in plain.items()}},
        {"model": usual, "ema": {**named, "0.weight": torch.ones(9, 1, 1, 1)}},
        {"model": usual, "ema": {"decay": 0.9}, "meta": 3, "classes": [1, 2]},
        [usual],
    ]
