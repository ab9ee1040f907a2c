"""Random changes to files: of bytes, and of the parts that a file of its format is made of.

A changed zip with an old checksum is refused at its door. So the parts of containers, pictures,
graphs, pickles and texts are changed as well, and put back into a file that is whole.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Final

from tests.fuzz.containers import (
    change_gzip,
    change_npy,
    change_tar,
    change_zip,
    change_zip_records,
)
from tests.fuzz.pickle_codes import change_pickle
from tests.fuzz.picture_parts import change_jpeg, change_png, change_tiff
from tests.fuzz.protobuf_fields import change_protobuf
from tests.fuzz.structured_text import change_json, change_toml
from tests.fuzz.texts import NUMBERS, TEXTS

Chance = random.Random

_WORD = re.compile(rb"[A-Za-z_]{2,}|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")

_LARGEST = 1 << 20
"""Bytes of an input: repeated parts double it otherwise."""

_PARTS: Final = (
    *(change_zip, change_zip_records, change_gzip, change_npy, change_json, change_toml),
    *(change_pickle, change_png, change_jpeg, change_tiff, change_protobuf, change_tar),
)
"""Each returns None for a file that is not of its format."""


def mutated(seeds: Sequence[bytes], chance: Chance) -> bytes:
    """Return one of ``seeds`` with one to four changes."""
    data = chance.choice(seeds)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        data = changed(data, seeds, chance)[:_LARGEST]
    return data


def changed(data: bytes, seeds: Sequence[bytes], chance: Chance) -> bytes:
    """Return ``data`` with one change, of one of its parts or of its bytes."""
    for part in _PARTS:
        if chance.random() < 0.6:
            made = part(data, chance, lambda inner: changed(inner, [inner], chance))
            if made is not None:
                return made
    change: Callable[[bytes, Sequence[bytes], Chance], bytes] = chance.choice(
        (_flip, _flip, _number, _cut, _remove, _repeat, _splice, _insert, _word)
    )
    return change(data, seeds, chance)


def _place(data: bytes, chance: Chance) -> int:
    """Return an offset; headers are short and decide most, so half of all lie in the first 512."""
    limit = min(len(data), 512) if chance.random() < 0.5 else len(data)
    return chance.randrange(limit + 1)


def _flip(data: bytes, _: Sequence[bytes], chance: Chance) -> bytes:
    if not data:
        return data
    flipped = bytearray(data)
    for _count in range(chance.choice((1, 1, 2, 8))):
        flipped[min(_place(data, chance), len(data) - 1)] = chance.randrange(256)
    return bytes(flipped)


def _number(data: bytes, _: Sequence[bytes], chance: Chance) -> bytes:
    """Overwrite one to eight bytes by a number at a limit."""
    size, order = chance.choice((1, 2, 4, 8)), chance.choice(("little", "big"))
    value = chance.choice(NUMBERS) % (1 << 8 * size)
    at = _place(data, chance)
    return data[:at] + value.to_bytes(size, order) + data[at + size :]  # type: ignore[arg-type]


def _cut(data: bytes, _: Sequence[bytes], chance: Chance) -> bytes:
    return data[: _place(data, chance)]


def _remove(data: bytes, _: Sequence[bytes], chance: Chance) -> bytes:
    at = _place(data, chance)
    return data[:at] + data[at + chance.randrange(1, 64) :]


def _repeat(data: bytes, _: Sequence[bytes], chance: Chance) -> bytes:
    at = _place(data, chance)
    return data[:at] + data[at : at + chance.randrange(1, 256)] * chance.randrange(2, 9) + data[at:]


def _splice(data: bytes, seeds: Sequence[bytes], chance: Chance) -> bytes:
    other = chance.choice(seeds)
    return data[: _place(data, chance)] + other[_place(other, chance) :]


def _insert(data: bytes, _: Sequence[bytes], chance: Chance) -> bytes:
    at = _place(data, chance)
    return data[:at] + chance.choice(TEXTS) + data[at:]


def _word(data: bytes, _: Sequence[bytes], chance: Chance) -> bytes:
    """Replace a word or number of a text; keys of one place land in another."""
    words = list(_WORD.finditer(data[:100_000]))
    if not words:
        return data
    old = chance.choice(words)
    texts = (*TEXTS, *(str(number).encode() for number in NUMBERS), chance.choice(words)[0])
    return data[: old.start()] + chance.choice(texts) + data[old.end() :]
