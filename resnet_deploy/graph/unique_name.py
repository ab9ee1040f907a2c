"""Names that nothing else in a graph has.

Apart from what works on ``onnx_ir``, whose import brings SymPy along and takes longer than all else
that a command or a measured process imports.
"""

from __future__ import annotations

from collections.abc import Container


def unique_name(name: str, taken: Container[str]) -> str:
    """Return ``name``, with a number if it is ``taken``."""
    unique, number = name, 0
    while unique in taken:
        number += 1
        unique = f"{name}_{number}"
    return unique
