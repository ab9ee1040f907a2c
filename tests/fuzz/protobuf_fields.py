"""Changes to protocol buffers, field by field, at any depth; lengths stay right.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeAlias

from tests.fuzz.texts import NUMBERS, TEXTS

Field: TypeAlias = tuple[int, int, "int | bytes"]
"""Number, wire type, and a varint or bytes."""

_MOST = 5000


def change_protobuf(
    data: bytes, chance: random.Random, _: Callable[[bytes], bytes]
) -> bytes | None:
    """Swap a wire type, put in a huge number, repeat, move, drop or nest a field."""
    if data[:1] not in (b"\x08", b"\x0a", b"\x12", b"\x1a", b"\x22", b"\x3a"):
        return None
    fields = _parsed(data)
    return None if not fields else _joined(_changed(fields, chance))


def _changed(fields: list[Field], chance: random.Random) -> list[Field]:
    at = chance.randrange(len(fields))
    number, wire, value = fields[at]
    if isinstance(value, bytes) and wire == 2 and chance.random() < 0.8:
        inner = _parsed(value)
        if inner:
            return [*fields[:at], (number, 2, _joined(_changed(inner, chance))), *fields[at + 1 :]]
    what = chance.random()
    if what < 0.12:
        new: list[Field] = []
    elif what < 0.24:
        new = [fields[at]] * chance.choice((2, 2, 3, 40))
    elif what < 0.36:
        new = [(chance.choice((*range(1, 30), 2**29 - 1)), wire, value)]
    elif what < 0.44:
        wanted = chance.choice((0, 1, 2, 5))
        new = [
            (number, wanted, bytes(8 if wanted == 1 else 4) if wanted else chance.choice(NUMBERS))
        ]
    elif what < 0.5:
        new = [(number, 2, _nested(number, fields[at], chance.choice((3, 90, 200, 2000))))]
    elif what < 0.56:
        new = [fields[chance.randrange(len(fields))], fields[at]]
    elif isinstance(value, int):
        new = [(number, wire, chance.choice((*NUMBERS, value + 1, value ^ 1)))]
    else:
        texts = (*TEXTS, value[:-1], value + value, value[::-1], bytes(len(value)))
        new = [
            (
                number,
                wire,
                chance.choice(texts) if wire == 2 else bytes(chance.randbytes(len(value))),
            )
        ]
    return [*fields[:at], *new, *fields[at + 1 :]]


def _nested(number: int, field: Field, depth: int) -> bytes:
    data = _joined([field])
    for _ in range(depth):
        data = _joined([(number, 2, data)])
        if len(data) > 100_000:
            break
    return data


def _parsed(data: bytes) -> list[Field] | None:
    """Return the fields of a message, or None for bytes that are none."""
    fields: list[Field] = []
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if not 0 < number < 2**29 or len(fields) > _MOST:
            return None
        if wire == 0:
            value, at = _varint(data, at)
            fields.append((number, 0, value))
            if value < 0:
                return None
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            return None
        if not 0 <= size <= len(data) - at:
            return None
        fields.append((number, wire, data[at : at + size]))
        at += size
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at ``at`` and what follows; -1 where there is none."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            return -1, at
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
    return -1, at


def _joined(fields: list[Field]) -> bytes:
    made = bytearray()
    for number, wire, value in fields:
        made += _packed(number << 3 | wire)
        if isinstance(value, int):
            made += _packed(value)
        else:
            made += _packed(len(value)) + value if wire == 2 else value
    return bytes(made)


def _packed(value: int) -> bytes:
    value %= 1 << 64
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes((*made, value))
