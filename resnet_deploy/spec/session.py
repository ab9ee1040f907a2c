"""How a runtime opens a file."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from resnet_deploy.errors import SpecError


class Optimization(str, enum.Enum):
    """ONNX Runtime's graph optimisation level: everything, or nothing."""

    OFF = "off"
    ALL = "all"


@dataclass(frozen=True, kw_only=True)
class SessionSpec:
    """How a runtime opens a file; the words are ONNX Runtime's.

    ``threads`` 0 means the physical cores allowed here. ``spin``: idle threads wait actively,
    which is fastest when nothing else wants the cores. ``options`` are further options by the
    runtime's own names; they win over the fields. ONNX Runtime has session config entries, such as
    ``("session.dynamic_block_base", "4")``, and attributes of its ``SessionOptions``, such as
    ``("enable_mem_pattern", "0")``; OpenVINO has properties in capitals, such as
    ``("INFERENCE_PRECISION_HINT", "bf16")``. PyTorch has none.

    Raises:
        SpecError: ``threads`` is negative.
    """

    threads: int = 0
    spin: bool = True
    optimization: Optimization = Optimization.ALL
    options: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.threads < 0:
            raise SpecError(f"threads must be at least 0, not {self.threads}")
