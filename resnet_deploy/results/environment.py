"""Where a result was measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where a result was measured, and the command that repeats it.

    ``isa`` holds the vector extensions that matter for int8 (``avx2``, ``avx512_vnni``, …).
    """

    command: str
    cpu: str
    isa: tuple[str, ...]
    cores: int
    os: str
    python: str
    versions: dict[str, str]
