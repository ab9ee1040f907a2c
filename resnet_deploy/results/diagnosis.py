"""What a machine can run, what that means for int8, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_deploy.results.base import Result
from resnet_deploy.results.environment import Environment


@dataclass(frozen=True, kw_only=True)
class RunnerStatus:
    """Whether a runner can run here: ``problem`` is empty, or what is wrong and what to do."""

    name: str
    installed: bool
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Something optional that is not installed, and the command that installs it."""

    package: str
    needed_for: str
    install: str


@dataclass(frozen=True, kw_only=True)
class Diagnosis(Result):
    """This machine: CPUs, memory in bytes, runtimes, and what is missing.

    ``quota`` is the control group's limit in cores, None without one. ``isas`` says of each
    instruction set how ``verify --isa`` can run its kernels here; ``runners`` which of the
    runners of ``bench`` can run.
    """

    DERIVED = ("vnni", "int8")

    environment: Environment
    allowed_cpus: int
    physical_cores: int
    quota: float | None
    memory_bytes: int
    available_bytes: int
    execution_providers: tuple[str, ...]
    runners: tuple[RunnerStatus, ...]
    isas: dict[str, str]
    missing: tuple[Missing, ...]

    @property
    def vnni(self) -> bool:
        """Whether one instruction adds up int8 products in 32 bits."""
        return self.environment.vnni

    @property
    def int8(self) -> str:
        """What an int8 file can be expected to do here, in one sentence."""
        if self.vnni:
            return "fast and exact: int8 products are added up in 32 bits (VNNI or dot product)"
        if "avx2" in self.environment.isa:
            return (
                "right, gains little: no VNNI, so pairs of u8*s8 products are added in 16 bits; "
                "files of other tools, or made with --allow-overflow, may saturate there"
            )
        return (
            "likely slower than fp32: neither VNNI, dot product nor AVX2; quantize measures it, "
            "and writes no int8 file that is not 1.1 times as fast"
        )
