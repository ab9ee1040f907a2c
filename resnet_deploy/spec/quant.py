"""How to quantize to int8."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path

from resnet_deploy.errors import SpecError


class CalibrationMethod(str, enum.Enum):
    """How an activation range is chosen from what was observed."""

    MINMAX = "minmax"
    PERCENTILE = "percentile"
    ENTROPY = "entropy"
    MSE = "mse"


class Effort(str, enum.Enum):
    """How long accuracy is looked for; neither costs anything at run time.

    ``fast`` rounds each weight alone, in seconds; ``best`` rounds the weights of a layer together,
    so that their errors cancel on the calibration images, in minutes.
    """

    FAST = "fast"
    BEST = "best"


class TargetIsa(str, enum.Enum):
    """Which CPUs the int8 kernels are chosen for.

    ``portable`` suits every CPU with VNNI or ARM's dot product; ``x86-amx`` gives the same answers
    and is faster with Intel's AMX, slower without; ``x86-avx2`` keeps every pair of products
    within int16, which x86 CPUs without VNNI need to give the same answers; ``auto`` is the CPU
    that the file is made on.
    """

    AUTO = "auto"
    PORTABLE = "portable"
    X86_AVX2 = "x86-avx2"
    X86_AMX = "x86-amx"


class FirstConv(str, enum.Enum):
    """What int8 does to the convolution that reads the image.

    ``auto`` makes twelve channels of its three where that is possible: ONNX Runtime's direct
    kernel wants multiples of four. ``plain`` keeps the kernel and the channels as they are:
    OpenVINO is fast with three, and slow in moving pixels. Both see exact pixels.
    """

    AUTO = "auto"
    PLAIN = "plain"


class ResidualStream(str, enum.Enum):
    """In what the residual stream is kept: what every block adds to, and the next one reads.

    ``uint8`` rounds it behind every Add. ``float32`` does not: the Adds are float, and only what
    the convolutions read is rounded. All convolutions run in int8 either way.
    """

    UINT8 = "uint8"
    FLOAT32 = "float32"


class Runtime(str, enum.Enum):
    """Which runtime the form of the int8 graph is chosen for, where they differ.

    ONNX Runtime's int8 convolutions write u8; OpenVINO's also write float.
    """

    ORT = "ort"
    OPENVINO = "openvino"


@dataclass(frozen=True, kw_only=True)
class QuantSpec:
    """How to quantize: u8 activations per tensor, s8 weights per channel, int32 biases.

    ``runtime`` says for which one the float parts of ``residual_stream`` are laid out. ``workers``
    processes share the calibration images; ``calibration_cache`` is the folder where their
    histograms are kept, or None. Neither changes the result.

    Raises:
        SpecError: there are no workers, or a ``runtime`` is chosen that changes nothing.
    """

    calibration_method: CalibrationMethod = CalibrationMethod.MSE
    effort: Effort = Effort.FAST
    target_isa: TargetIsa = TargetIsa.PORTABLE
    first_conv: FirstConv = FirstConv.AUTO
    residual_stream: ResidualStream = ResidualStream.UINT8
    runtime: Runtime = Runtime.ORT
    samples: int = 512
    seed: int = 0
    exclude: tuple[str, ...] = ()
    workers: int = 1
    calibration_cache: Path | None = None

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise SpecError(f"cannot calibrate with {self.workers} workers: ask for at least one")
        if self.runtime is not Runtime.ORT and self.residual_stream is ResidualStream.UINT8:
            raise SpecError(
                f"--runtime {self.runtime.value} says how a float residual stream is laid out, and "
                "files with a stream in uint8 are the same for all: add --residual-stream float32, "
                "or leave it out"
            )
