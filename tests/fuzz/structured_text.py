"""Changes to values and keys of JSON and TOML that leave them JSON and TOML."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

from tests.fuzz.texts import VALUES

_KEYS = ("", "x", "\x1b", "\ud800", "format", "0", "__class__", "-1", "k" * 3000)

_TOML_LINE = re.compile(rb"(?m)^([A-Za-z_]+) *= *(.+)$")
_TOML_VALUES = (
    *(
        b"true",
        b"-1",
        b"0",
        b"0.5",
        b"nan",
        b"-inf",
        b"1e308",
        b'""',
        b'"x"',
        b"[]",
        b"{}",
        b"[[]]",
    ),
    *(b"[0, 0]", b"1979-05-27", b"07:32:00", b"{a = 1}", b'"\\u0000\\u001B"', b'"../x"'),
    *(b"9223372036854775808", b"9" * 5000, b"[" * 900 + b"]" * 900, b"[" * 50_000, b"0x7fffffff"),
    *(b"[1, 'a', [2]]", b'"""\n"""', b"20000", b"100000000"),
)

Deeper = Callable[[bytes], bytes]


def change_json(data: bytes, chance: random.Random, _: Deeper) -> bytes | None:
    """Put in a value of another kind or size, move, drop, rename or repeat a key, nest deeply."""
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
    text = None
    if what < 0.1:
        del inside[key]
    elif what < 0.2 and isinstance(inside, dict):
        inside[chance.choice(_KEYS)] = inside.pop(key)
    elif what < 0.35:
        other, place = chance.choice(places)
        inside[key] = _copied(other[place])
    elif what < 0.4:
        text = chance.choice(("1" * 5000, "[" * 50_000, "[" * 900 + "]" * 900, "1e99999", "-"))
    elif what < 0.45 and isinstance(inside, dict):
        text = f"1, {json.dumps(key)}: {json.dumps(chance.choice(VALUES))}"
    elif what < 0.5 and isinstance(inside[key], list):
        inside[key] = [*inside[key], *inside[key][-1:] * chance.choice((1, 2, 400))]
    else:
        inside[key] = chance.choice(VALUES)
    if text is not None:
        inside[key] = "\x00here"
    try:
        made = json.dumps(value, ensure_ascii=chance.random() < 0.7)
    except (ValueError, RecursionError):
        return None
    if text is not None:
        made = made.replace('"\\u0000here"', text)
    return made.encode(errors="surrogatepass")


def _copied(value: Any) -> Any:
    """Return ``value`` again: a value inside itself is not JSON."""
    try:
        return json.loads(json.dumps(value))
    except RecursionError:
        return None


def _walk(value: Any, places: list[tuple[Any, Any]]) -> None:
    open_ = [value]
    while open_ and len(places) < 20_000:
        inside = open_.pop()
        for key in inside if isinstance(inside, dict) else range(len(inside)):
            places.append((inside, key))
            if isinstance(inside[key], dict | list):
                open_.append(inside[key])


def change_toml(data: bytes, chance: random.Random, _: Deeper) -> bytes | None:
    """Put in another value, have a key twice, or put a key where another was."""
    lines = list(_TOML_LINE.finditer(data[:100_000]))
    if len(lines) < 3:
        return None
    line = chance.choice(lines)
    what = chance.random()
    if what < 0.7:
        new = line[1] + b" = " + chance.choice(_TOML_VALUES)
    elif what < 0.8:
        new = line[0] + b"\n" + line[1] + b" = " + chance.choice(_TOML_VALUES)
    elif what < 0.9:
        new = chance.choice(lines)[1] + b" = " + line[2]
    else:
        new = line[1] + chance.choice((b".x = 1", b".a.a.a = []", b"x = 1", b" = 1 # \x00"))
    return data[: line.start()] + new + data[line.end() :]
