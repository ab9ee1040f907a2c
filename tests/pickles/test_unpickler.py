"""The pickle machine: what Python writes comes back, what a stranger writes stays data."""

from __future__ import annotations

import argparse
import collections
import functools
import os
import pickle
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet_deploy.pickles.bounds import Budget, Damaged, Refused
from resnet_deploy.pickles.numpy_arrays import NumpyArray, numpy_builders
from resnet_deploy.pickles.stand_ins import Named, StandIn
from resnet_deploy.pickles.unpickler import Unpickler

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def read(data: bytes, *, budget: Budget | None = None) -> Any:
    paid = budget or Budget(len(data))
    machine = Unpickler(data, builders=numpy_builders(paid), persistent=tuple, budget=paid)
    content = machine.load()
    assert machine.position <= len(data)
    return content


class Calls:
    """Pickled as a call of ``function``, with a state behind it."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.call = function, arguments, state

    def __reduce__(self) -> Any:
        function, arguments, state = self.call
        return (function, arguments) if state is None else (function, arguments, state)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_data_comes_back(protocol: int) -> None:
    shared = ["a"]
    content: dict[Any, Any] = {
        "text": ("", "Grüße\n\\", "x" * 300),
        1: [0, -1, 255, 65535, 1 << 31, -(1 << 70), True, False, None],
        2.5: {"inf": float("inf"), "small": -1e-300},
        (1, "a"): [shared, shared, ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4))],
    }
    found = read(pickle.dumps(content, protocol))
    assert found == content
    assert found[1, "a"][0] is found[1, "a"][1]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_list_may_hold_itself(protocol: int) -> None:
    content: list[Any] = []
    content.append(content)
    found = read(pickle.dumps(content, protocol))
    assert found[0] is found


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=">f4").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.zeros((0, 3), np.int64),
        np.array(True),
    ],
    ids=["big-endian", "fortran", "empty", "number"],
)
def test_arrays(protocol: int, array: Any) -> None:
    found = read(pickle.dumps(array, protocol))
    assert isinstance(found, NumpyArray)
    assert np.array_equal(found.array(), array)  # type: ignore[arg-type]
    assert read(pickle.dumps(np.float32(0.5), protocol)) == 0.5


def test_python_2_wrote_bytes_as_text() -> None:
    assert read(b"S'gr\\xfc\xdf\\n'\n.") == "gr\xfc\xdf\n"
    assert read(b"U\x02\xe4b.") == "\xe4b"
    assert read(b"T\x01\0\0\0\xff.") == "\xff"
    assert read(b"(dp0\nS'a'\nI01\nsS'b'\nL12L\ns.") == {"a": True, "b": 12}


def test_classes_and_functions_are_names() -> None:
    assert read(pickle.dumps(Path)).name == "pathlib.Path"
    found = read(pickle.dumps(argparse.Namespace(lr=0.1)))
    assert isinstance(found, StandIn)
    assert (found.of, found.attributes) == ("argparse.Namespace", {"lr": 0.1})
    partial = read(pickle.dumps(functools.partial(os.listdir, "x")))
    assert partial.of == "functools.partial"
    assert isinstance(partial.arguments[0], Named)
    deque = read(pickle.dumps(collections.deque([1, 2])))
    assert deque.elements == [1, 2]
    assert read(pickle.dumps(collections.OrderedDict(a=1))).entries == {"a": 1}


GADGETS = {
    "system": Calls(os.system, "touch harm"),
    "eval": Calls(eval, "open('harm', 'w')"),
    "exec": Calls(exec, "open('harm', 'w')"),
    "mkdir": Calls(os.mkdir, "harm"),
    "load": Calls(np.load, "harm"),
    "getattr": Calls(getattr, os, "system"),
    "partial": Calls(functools.partial(os.system, "touch harm")),
    "huge": Calls(bytearray, 10**12),
    "state": Calls(Path, "x", state={"__setstate__": "harm"}),
    "reduce": Calls(functools.reduce, max, [1]),
}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("gadget", GADGETS.values(), ids=GADGETS)
def test_nothing_is_called(
    gadget: Calls, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "__reduce__", None, raising=False)
    try:
        data = pickle.dumps({"evil": gadget}, protocol)
    except TypeError:  # modules can't be pickled
        data = b"cbuiltins\ngetattr\n(cos\nsystem\nS'x'\ntR."
    with suppress(Refused):  # what no checkpoint calls; else an inert stand-in
        content = read(data)
        found = content["evil"] if isinstance(content, dict) else content
        assert isinstance(found, StandIn)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("opcode", [b"i", b"c"])
def test_old_ways_to_call(opcode: bytes) -> None:
    data = b"(S'ls'\niposix\nsystem\n." if opcode == b"i" else b"(cposix\nsystem\nS'ls'\no."
    with pytest.raises(Refused, match=r"posix\.system"):
        read(data)


DOUBLED = b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(40))
BOMBS = {
    "hash": b"\x80\x02})" + DOUBLED + b"K\x01s.",
    "list as key": b"}]K\x01s.",
    "huge number as key": b"}\x8a\x0a" + b"\xff" * 9 + b"\x01" + b"K\x01s.",
    "length": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b".",
    "text length": b"X" + struct.pack("<I", 2**32 - 1) + b".",
    "integer": b"\x8b" + struct.pack("<I", 5000) + bytes(5000) + b".",
    "memo": b"Nr" + struct.pack("<I", 2**32 - 1) + b"h\x01.",
    "extension": b"\x82\x01.",
    "out of band": b"\x97.",
    "no end": b"\x80\x02N",
    "odd items": b"}(K\x01u.",
    "append to a number": b"K\x01K\x02a.",
    "call of a number": b"K\x01)R.",
    "arguments that are a list": b"cos\ngetcwd\n]R.",
}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
def test_bombs_are_damage(data: bytes) -> None:
    with pytest.raises(Damaged):
        read(data)


def test_a_memo_is_not_as_long_as_its_highest_index() -> None:
    assert read(b"K\x07r" + struct.pack("<I", 2**32 - 1) + b"0j" + b"\xff" * 4 + b".") == 7


def test_operations_are_paid_for() -> None:
    budget = Budget(0)
    budget.operation(3_999_990)
    with pytest.raises(Refused, match="holds more than 4,000,000 objects"):
        read(b"]" * 100 + b".", budget=budget)


def test_nested_lists_of_any_depth_need_no_stack() -> None:
    assert isinstance(read(b"]" * 10_000 + b"a" * 9_999 + b"."), list)


@pytest.mark.parametrize("shape", [(2**40,), (-1,), (3.0,), [3], (2, 2)])
def test_arrays_of_another_shape(shape: Any) -> None:
    array = NumpyArray(Budget(0))
    array.build((1, shape, numpy_builders(Budget(0))["numpy.dtype"](("f4",)), False, bytes(12)))
    with pytest.raises(Damaged):
        array.array()
