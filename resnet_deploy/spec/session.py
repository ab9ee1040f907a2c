"""How a runtime opens a file."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Optimization(str, enum.Enum):
    """ONNX Runtime's graph optimisation level: everything, or nothing."""

    OFF = "off"
    ALL = "all"


@dataclass(frozen=True, kw_only=True)
class SessionSpec:
    """How ONNX Runtime opens a file.

    ``threads`` 0 means the physical cores allowed here. ``spin``: idle threads wait actively,
    which is fastest when nothing else wants the cores. ``options`` are further session config
    entries by ONNX Runtime's own keys, such as ``("session.dynamic_block_base", "4")``; they win
    over the fields.
    """

    threads: int = 0
    spin: bool = True
    optimization: Optimization = Optimization.ALL
    options: tuple[tuple[str, str], ...] = ()
