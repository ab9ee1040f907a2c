"""Where a result was measured."""

from __future__ import annotations

from dataclasses import dataclass

DOT_PRODUCTS = frozenset({"avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"})
"""Vector extensions that add up int8 products in 32 bits by one instruction."""


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

    @property
    def vnni(self) -> bool:
        """Whether int8 products are added up in 32 bits by one instruction, on x86 or ARM."""
        return not DOT_PRODUCTS.isdisjoint(self.isa)
