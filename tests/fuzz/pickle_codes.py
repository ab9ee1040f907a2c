"""Changes to pickles that keep most of them readable: operations, names, numbers, nesting."""

from __future__ import annotations

import pickle
import pickletools
import random
import struct
from collections.abc import Callable

_PUT_IN = (
    b"cos\nsystem\n",
    b"cos\nsystem\n(S'true'\ntR",
    b"cbuiltins\neval\n(S'1'\ntR",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ctorch\nFloatStorage\n",
    b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR",
    b"cnumpy.core.multiarray\n_reconstruct\n",
    b"ccollections\nOrderedDict\n)R",
    b"\x8c\x02os\x8c\x06system\x93",
    b"(ios\nsystem\n",
    b"R",
    b"b",
    b"Q",
    b"0",
    b"2",
    b"(",
    b"t",
    b"}",
    b"]",
    b")",
    b"N",
    b"s",
    b"u",
    b"e",
    b"\x86",
    b"\x81",
    b"\x92",
    b"\x90",
    b"\x8f(",
    b"(" * 3000 + b"t" * 3000,
    b"]" * 3000 + b"a" * 2999,
    b"\x8e" + struct.pack("<Q", 2**40),
    b"\x8d" + struct.pack("<Q", 2**63),
    b"\x96" + struct.pack("<Q", 2**40),
    b"\x8b" + struct.pack("<i", -5),
    b"\x8b" + struct.pack("<i", 2**31 - 1),
    b"\x8a\xff" + b"\x7f" * 255,
    b"I99999999999999999999\n",
    b"F1e999\n",
    b"r\xff\xff\xff\x7f",
    b"j\xff\xff\xff\x7f",
    b"h\xff",
    b"\x95" + struct.pack("<Q", 2**63),
    b"\x82\x01",
    b"Pid\n",
    b".",
    b"V\\ud800\n",
)
"""Single operations, and runs of them that call, nest, or claim sizes."""


def change_pickle(data: bytes, chance: random.Random, _: Callable[[bytes], bytes]) -> bytes | None:
    """Leave out, repeat, replace or put in an operation, or change what it carries."""
    if data[:1] not in (b"\x80", b"(", b"}", b"]", b"c"):
        return None
    places = []
    try:
        for operation, argument, at in pickletools.genops(data[:200_000]):
            places.append((at or 0, operation, argument))
    except Exception:
        pass  # of a damaged pickle the operations before the damage are changed
    if len(places) < 3:
        return None
    index = chance.randrange(len(places) - 1)
    at, operation, argument = places[index]
    end = places[index + 1][0]
    what = chance.random()
    if what < 0.15:
        new = b""
    elif what < 0.3:
        new = data[at:end] * chance.choice((2, 2, 3, 50))
    elif what < 0.45:
        other = chance.randrange(len(places) - 1)
        new = data[places[other][0] : places[other + 1][0]]
    elif what < 0.75:
        new = data[at:end] + chance.choice(_PUT_IN)
    else:
        new = _other_argument(argument, chance) or chance.choice(_PUT_IN)
    return data[:at] + new + data[end:]


def _other_argument(argument: object, chance: random.Random) -> bytes:
    """Return operations that push a value like ``argument``, except for its size or kind."""
    if isinstance(argument, str):
        values = ("", argument[::-1], argument + "x", "cuda", "../x", "\x00\u202e", "a" * 3000)
        return pickle.dumps(chance.choice(values), 2)[2:-1]
    if isinstance(argument, int):
        numbers = (0, -1, argument + 1, -argument, 2**31, 2**63, 2**70, 10**400)
        return pickle.dumps(chance.choice((*numbers, None, 1.5, True, "3")), 2)[2:-1]
    if isinstance(argument, float):
        return pickle.dumps(chance.choice((float("nan"), float("inf"), -0.0, 1e308, 1, "1")), 2)[
            2:-1
        ]
    return b""
