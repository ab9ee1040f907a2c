"""Random changes to files: of bytes, and of what containers and texts hold.

A changed zip with an old checksum is refused at its door. So a zip's members, a gzip's content and
the values of JSON and TOML are changed as well, and put back into a container that is whole.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

_NUMBERS = (0, 1, -1, 127, 128, 255, 65535, 2**31 - 1, 2**31, 2**32, 2**63 - 1, -(2**63), 10**30)

_TEXTS = (
    b"",
    b"\x00",
    b"\x1b]0;x\x07",
    b"\xff\xfe",
    "\u202e".encode(),
    b"../../x",
    b"/dev/zero",
    b"NaN",
    b"1e999",
    b"-0.0",
    b"true",
    b"null",
    b"[" * 2000,
    b"A" * 5000,
    b"9" * 5000,
    b"'\"`$(id);*/</script>${x}%n",
)

_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**63,
    10**400,
    0.5,
    float("inf"),
    float("nan"),
    "",
    "x" * 5000,
    "\x00\x1b\u202e\ud800",
    "../x",
    [],
    {},
    [[]],
    {"a": 1},
)

_WORD = re.compile(rb"[A-Za-z_]{2,}|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def mutated(seeds: Sequence[bytes], chance: random.Random) -> bytes:
    """Return one of ``seeds`` with one to four changes."""
    data = chance.choice(seeds)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        data = _changed(data, seeds, chance)
    return data


def _changed(data: bytes, seeds: Sequence[bytes], chance: random.Random) -> bytes:
    for whole in (_zip, _gzip, _json):
        if chance.random() < 0.6 and (made := whole(data, chance)) is not None:
            return made
    change: Callable[[bytes, Sequence[bytes], random.Random], bytes] = chance.choice(
        (_flip, _flip, _number, _cut, _remove, _repeat, _splice, _insert, _word)
    )
    return change(data, seeds, chance)


def _place(data: bytes, chance: random.Random) -> int:
    """Return an offset; headers are short and decide most, so half of all lie in the first 512."""
    limit = min(len(data), 512) if chance.random() < 0.5 else len(data)
    return chance.randrange(limit + 1)


def _flip(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    if not data:
        return data
    changed = bytearray(data)
    for _count in range(chance.choice((1, 1, 2, 8))):
        changed[min(_place(data, chance), len(data) - 1)] = chance.randrange(256)
    return bytes(changed)


def _number(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    """Overwrite one to eight bytes by a number at a limit."""
    size, order = chance.choice((1, 2, 4, 8)), chance.choice(("little", "big"))
    value = chance.choice(_NUMBERS) % (1 << 8 * size)
    at = _place(data, chance)
    return data[:at] + value.to_bytes(size, order) + data[at + size :]  # type: ignore[arg-type]


def _cut(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    return data[: _place(data, chance)]


def _remove(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    at = _place(data, chance)
    return data[:at] + data[at + chance.randrange(1, 64) :]


def _repeat(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    at = _place(data, chance)
    return data[:at] + data[at : at + chance.randrange(1, 256)] * chance.randrange(2, 9) + data[at:]


def _splice(data: bytes, seeds: Sequence[bytes], chance: random.Random) -> bytes:
    other = chance.choice(seeds)
    return data[: _place(data, chance)] + other[_place(other, chance) :]


def _insert(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    at = _place(data, chance)
    return data[:at] + chance.choice(_TEXTS) + data[at:]


def _word(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    """Replace a word or number of a text; keys of one place land in another."""
    words = list(_WORD.finditer(data[:100_000]))
    if not words:
        return data
    old = chance.choice(words)
    texts = (*_TEXTS, *(str(number).encode() for number in _NUMBERS), chance.choice(words)[0])
    return data[: old.start()] + chance.choice(texts) + data[old.end() :]


def _zip(data: bytes, chance: random.Random) -> bytes | None:
    """Change the content, name or way of packing of a member of a zip archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info, archive.read(info)) for info in archive.infolist()[:64]]
    except Exception:
        return None
    if not members:
        return None
    at = chance.randrange(len(members))
    info, content = members[at]
    name, kind = info.filename, info.compress_type
    what = chance.random()
    if what < 0.7:
        content = _changed(content, [member for _, member in members], chance)
    elif what < 0.8:
        name = chance.choice(_TEXTS[1:9]).decode(errors="replace").strip("\x00") or name
    elif what < 0.9:
        kind = chance.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    members[at] = (info, content)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for index, (member, stored) in enumerate(members):
            if index == at and what >= 0.95:
                continue
            chosen = (name, kind) if index == at else (member.filename, member.compress_type)
            archive.writestr(chosen[0], stored, chosen[1])
    return made.getvalue()


def _gzip(data: bytes, chance: random.Random) -> bytes | None:
    if not data.startswith(b"\x1f\x8b"):
        return None
    try:
        content = gzip.decompress(data)
    except Exception:
        return None
    return gzip.compress(_changed(content, [content], chance), 1)


def _json(data: bytes, chance: random.Random) -> bytes | None:
    """Put a value of another kind or size somewhere into JSON."""
    if data[:1] not in (b"{", b"["):
        return None
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    places: list[tuple[Any, Any]] = []
    _walk(value, places)
    if not places:
        return None
    inside, key = chance.choice(places)
    what = chance.random()
    if what < 0.1:
        del inside[key]
    elif what < 0.2 and isinstance(inside, dict):
        inside[chance.choice(("", "x", "\x1b", "format", "0"))] = inside.pop(key)
    else:
        inside[key] = chance.choice(_VALUES)
    try:
        return json.dumps(value).encode()
    except (ValueError, RecursionError):
        return None


def _walk(value: Any, places: list[tuple[Any, Any]]) -> None:
    keys = value if isinstance(value, dict) else range(len(value))
    for key in keys:
        places.append((value, key))
        if isinstance(value[key], dict | list) and len(places) < 20_000:
            _walk(value[key], places)
