"""Values at limits, and texts that mean something to whoever takes them for more than texts."""

from __future__ import annotations

from typing import Any, Final

NUMBERS: Final = (
    *(0, 1, -1, 2, 127, 128, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**32),
    *(2**40, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1, 10**30),
)

TEXTS: Final = (
    b"",
    b"\x00",
    b"\x1b]0;x\x07",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    "\u202e".encode(),
    b"../x",
    b"../../x",
    b"/dev/zero",
    b"/etc/hostname",
    b"NaN",
    b"1e999",
    b"-0.0",
    b"true",
    b"null",
    b"os system",
    b"[" * 2000,
    b"A" * 5000,
    b"9" * 5000,
    b"'\"`$(id);*/</script>${x}%n",
)
"""``../x`` and ``../../x`` lie there, and must not be opened: see ``watch.py``."""

VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    -1,
    0,
    1,
    2**31,
    2**63,
    10**400,
    0.5,
    -0.0,
    1e308,
    float("inf"),
    float("nan"),
    "",
    "x",
    "x" * 5000,
    "NaN",
    "\x00\x1b\u202e\ud800",
    "../x",
    "../../x",
    [],
    {},
    [[]],
    [0] * 300,
    {"a": 1},
    {"": None},
)
"""Of JSON."""
