"""What to tune for, and what there is to choose: how a file is made and how it runs."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from resnet_deploy.errors import SpecError
from resnet_deploy.spec.bounds import MOST_AT_ONCE, MOST_SECONDS, check_range
from resnet_deploy.spec.budget import Budget
from resnet_deploy.spec.input_words import InputFormat
from resnet_deploy.spec.quant import (
    CalibrationMethod,
    Effort,
    FirstConv,
    ResidualStream,
    Runtime,
    TargetIsa,
)

TUNED_OPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ort": ("session.intra_op.allow_spinning", "session.dynamic_block_base"),
        "ort-openvino": ("session.intra_op.allow_spinning", "session.dynamic_block_base"),
        "openvino": (
            "ENABLE_CPU_PINNING",
            "ENABLE_HYPER_THREADING",
            "INFERENCE_PRECISION_HINT",
            "NUM_STREAMS",
            "PERFORMANCE_HINT",
            "SCHEDULING_CORE_TYPE",
        ),
    }
)
"""By runner, the options that change speed or precision alone.

Others write files, and what ``tune`` keeps on disk, in cards or beside them, is anyone's.
"""


class Objective(str, enum.Enum):
    """What the best file is best in: time of one image, images per second, or bytes."""

    LATENCY = "latency"
    THROUGHPUT = "throughput"
    SIZE = "size"


@dataclass(frozen=True, kw_only=True)
class TuneSpec:
    """How to look for the best file and the best way to run it.

    ``max_drop`` is in points of top-1 and needs labels, ``min_agreement`` a share of images with
    the class of fp32; at least one of them bounds what is lost. ``time_limit`` is in seconds.
    ``keep_input`` leaves the input format as it is. ``samples`` is how many images accuracy is
    measured on at most (fewer, but 500, where time is short), ``calibration_samples`` how many set
    the int8 ranges.

    Raises:
        SpecError: nothing bounds the loss, or a number is out of its range.
    """

    objective: Objective = Objective.LATENCY
    max_drop: float | None = None
    min_agreement: float | None = None
    time_limit: float = 600.0
    keep_input: bool = False
    threads: int = 0
    samples: int = 5000
    calibration_samples: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        _ = self.budget  # checks the bounds
        check_range(self, "time_limit", 0, MOST_SECONDS)
        check_range(self, "threads", 0, MOST_AT_ONCE)
        if self.time_limit == 0 or self.samples < 1 or self.calibration_samples < 1:
            raise SpecError(
                f"a time limit of {self.time_limit:g} s, {self.samples} images for accuracy and "
                f"{self.calibration_samples} for calibration: all must be positive"
            )

    @property
    def budget(self) -> Budget:
        """What may be lost."""
        return Budget(max_drop=self.max_drop, min_agreement=self.min_agreement)


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """How a file is made from the fp32 one. Without ``int8`` only ``input`` says anything.

    With ``half`` it is a float16 file, and no int8 one.
    ``float_layers`` are torch modules that stay in float; ``runtime`` is what a float
    ``residual_stream`` is laid out for.
    """

    input: InputFormat
    int8: bool = True
    method: CalibrationMethod = CalibrationMethod.MSE
    effort: Effort = Effort.FAST
    target_isa: TargetIsa = TargetIsa.PORTABLE
    first_conv: FirstConv = FirstConv.AUTO
    residual_stream: ResidualStream = ResidualStream.UINT8
    runtime: Runtime = Runtime.ORT
    float_layers: tuple[str, ...] = ()
    half: bool = False

    @property
    def name(self) -> str:
        """Such as ``int8-mse-best-x86-amx-uint8-nhwc``; good for a file name."""
        if not self.int8:
            return f"{'fp16' if self.half else 'fp32'}-{self.input.value}"
        mixed = f"-{len(self.float_layers)}float" if self.float_layers else ""
        plain = "-plain" if self.first_conv is FirstConv.PLAIN else ""
        if self.residual_stream is ResidualStream.FLOAT32:
            plain += "-stream" if self.runtime is Runtime.ORT else f"-stream-{self.runtime.value}"
        return (
            f"int8-{self.method.value}-{self.effort.value}-{self.target_isa.value}-"
            f"{self.input.value}{plain}{mixed}"
        )


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a file runs: ``instances`` processes of ``threads`` each, ``options`` the runtime's.

    Raises:
        SpecError: no search tries this.
    """

    runner: str
    threads: int
    instances: int = 1
    batch_size: int = 1
    options: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for name in ("threads", "instances", "batch_size"):
            if not 1 <= (count := getattr(self, name)) <= MOST_AT_ONCE:
                raise SpecError(f"{name} is {count!r:.40}")
        if self.runner not in TUNED_OPTIONS:
            raise SpecError(f"the runner is {self.runner!r:.40}")
        for key, _ in self.options:
            if key not in TUNED_OPTIONS[self.runner]:
                raise SpecError(f"option {key!r:.60}")

    @property
    def name(self) -> str:
        """Such as ``ort, 2 threads, session.intra_op.allow_spinning=0``."""
        parts = [self.runner, f"{self.threads} thread{'s' * (self.threads != 1)}"]
        parts += [f"{self.instances} instances"] if self.instances > 1 else []
        parts += [f"batch {self.batch_size}"] if self.batch_size > 1 else []
        return ", ".join([*parts, *(f"{key}={value}" for key, value in self.options)])
