"""How to quantize to int8."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path

from resnet_deploy.errors import SpecError
from resnet_deploy.spec.cluster import ClusterSpec


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
    """Which CPUs the int8 kernels are chosen for: their speed, never the answers.

    ``portable`` suits every CPU, ``x86-amx`` is faster with Intel's AMX and slower without;
    ``auto`` is the CPU that the file is made on.
    """

    AUTO = "auto"
    PORTABLE = "portable"
    X86_AMX = "x86-amx"

    @classmethod
    def parse(cls, word: str) -> TargetIsa:
        """Return the target called ``word``.

        Raises:
            SpecError: there is none.
        """
        if word == "x86-avx2":
            raise SpecError(
                "there is no target x86-avx2 any more: int8 files give the same answers on x86 "
                "CPUs without VNNI by default; leave --target-isa out"
            )
        try:
            return cls(word)
        except ValueError as error:
            known = ", ".join(member.value for member in cls)
            raise SpecError(f"{word!r} is none of {known}") from error


class Overflow(str, enum.Enum):
    """Whether a sum of an int8 file's products can overflow on x86 CPUs without VNNI."""

    NEVER = "never"
    POSSIBLE = "possible"
    UNKNOWN = "unknown"

    @classmethod
    def of(cls, word: object) -> Overflow:
        """Return what a card says with ``word``: unknown where it is missing, or none of these."""
        return next((member for member in cls if member.value == word), cls.UNKNOWN)

    @property
    def guarantee(self) -> str:
        """What that guarantees, for all images and for those of calibration."""
        if self is Overflow.NEVER:
            return "whatever the image, no int8 sum of ONNX Runtime overflows on any CPU"
        if self is Overflow.POSSIBLE:
            return (
                "x86 CPUs without VNNI guarantee no image its answers; verify --saturation says "
                "whether any int8 sum overflows on images like those of calibration"
            )
        return "the card does not say; verify --saturation does"


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


_SAMPLES = 512
_MOST_SAMPLES = 2048
_PHOTO_PIXELS = 224 * 224


@dataclass(frozen=True, kw_only=True)
class QuantSpec:
    """How to quantize: u8 activations per tensor, s8 weights per channel, int32 biases.

    No sum of products overflows on any CPU, whatever the image, unless ``allow_overflow``: weights
    are then rounded as CPUs that add up in 32 bits can take them.
    ``runtime`` says for which one the float parts of ``residual_stream`` are laid out. ``workers``
    processes share the calibration images, or those of a ``cluster``; ``calibration_cache`` is the
    folder where their histograms are kept, or None. None of them changes the result. Unless
    ``samples`` says how many images there are to be, it is :meth:`samples_of` their size.

    Raises:
        SpecError: there are no workers or images, or a ``runtime`` is chosen that changes nothing,
            or that ``target_isa`` is not for.
    """

    calibration_method: CalibrationMethod = CalibrationMethod.MSE
    effort: Effort = Effort.FAST
    target_isa: TargetIsa = TargetIsa.PORTABLE
    first_conv: FirstConv = FirstConv.AUTO
    allow_overflow: bool = False
    residual_stream: ResidualStream = ResidualStream.UINT8
    runtime: Runtime = Runtime.ORT
    samples: int | None = None
    seed: int = 0
    exclude: tuple[str, ...] = ()
    workers: int = 1
    cluster: ClusterSpec | None = None
    calibration_cache: Path | None = None

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise SpecError(f"cannot calibrate with {self.workers} workers: ask for at least one")
        if self.samples is not None and self.samples < 1:
            raise SpecError(f"cannot calibrate on {self.samples} images: ask for at least one")
        if self.runtime is not Runtime.ORT and self.residual_stream is ResidualStream.UINT8:
            raise SpecError(
                f"--runtime {self.runtime.value} says how a float residual stream is laid out, and "
                "files with a stream in uint8 are the same for all: add --residual-stream float32, "
                "or leave it out"
            )
        if self.runtime is Runtime.OPENVINO and self.target_isa is TargetIsa.X86_AMX:
            raise SpecError(
                "--target-isa x86-amx chooses kernels of ONNX Runtime, and OpenVINO runs such "
                "layers in float: leave it out, OpenVINO uses AMX by itself"
            )

    def samples_of(self, pixels: int) -> int:
        """Return how many images of ``pixels`` pixels set the ranges, where there are as many.

        ``best`` fits weights to what the layers see. A small image shows little of that, so that
        small ones are many more: as many pixels as 512 photos of 224x224 have, and 2,048 images
        at most.
        """
        if self.samples is not None:
            return self.samples
        if self.effort is Effort.FAST:
            return _SAMPLES
        return min(max(_SAMPLES, _SAMPLES * _PHOTO_PIXELS // pixels), _MOST_SAMPLES)
