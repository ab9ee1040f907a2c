"""How a network becomes files: what ``load``, ``export`` and ``deploy`` can be asked for."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from pathlib import Path

from resnet_deploy.errors import SpecError
from resnet_deploy.spec.bounds import check_batch
from resnet_deploy.spec.budget import Budget
from resnet_deploy.spec.input_options import InputOptions
from resnet_deploy.spec.input_words import InputFormat
from resnet_deploy.spec.licence import check_licence
from resnet_deploy.spec.model_request import ModelRequest
from resnet_deploy.spec.output import OutputSpec
from resnet_deploy.spec.quant import QuantSpec


class SmallPrecision(str, enum.Enum):
    """What the file beside the fp32 one computes in.

    ``int8`` is quantized; ``fp16`` is float16 with float32 inputs and outputs.
    """

    INT8 = "int8"
    FP16 = "fp16"


@dataclass(frozen=True, kw_only=True)
class LoadSpec:
    """Which network, with which weights.

    ``weights`` is ``random``, ``imagenet``, ``cifar10``, a checkpoint, or the folder of a training
    run. ``labels``, ``licence`` (an SPDX expression) and ``preprocess`` go before what the card of
    the weights says, if they have one. ``seed`` is that of random weights. Without ``download``
    random weights stand in for a published file that is not in the cache.

    Raises:
        SpecError: ``licence`` is something else, or there is no name in ``weights``.
    """

    model: ModelRequest = field(default_factory=ModelRequest)
    weights: str = "random"
    labels: tuple[str, ...] = ()
    licence: str = ""
    preprocess: InputOptions = field(default_factory=InputOptions)
    seed: int = 0
    download: bool = True

    def __post_init__(self) -> None:
        if not self.weights:  # as a path that is the folder in which the command runs
            raise SpecError("--weights is empty: name a checkpoint, or leave it out")
        check_licence(self.licence)


@dataclass(frozen=True, kw_only=True)
class ExportSpec:
    """How a network becomes an fp32 graph.

    ``batch_size`` None takes any. ``opset`` None is 17; nothing is written that the ONNX Runtime
    ``target_ort`` can't read. ``fold`` folds BatchNorm in PyTorch, ``simplify`` runs onnxsim.

    Raises:
        SpecError: ``batch_size`` is not positive.
    """

    output: OutputSpec = field(default_factory=OutputSpec)
    input: InputFormat = InputFormat.FLOAT_NCHW
    resize_in_graph: bool = False
    batch_size: int | None = None
    opset: int | None = None
    target_ort: str | None = None
    fold: bool = True
    simplify: bool = True

    def __post_init__(self) -> None:
        if self.batch_size is not None and self.batch_size < 1:
            raise SpecError(f"batch_size must be at least 1, not {self.batch_size}")
        check_batch(self.batch_size or 1, 1)


@dataclass(frozen=True, kw_only=True)
class DeploySpec:
    """What is made of a network or an fp32 file, what is checked, and where it goes.

    Of a network there is the fp32 file always; of a file one of ``int8`` and ``half`` is made.

    Args:
        out: of a network, the folder of the files; of a file, the int8 file or its folder, None
            being beside it.
        name: stem of the files of a network; None is the model's own.
        export: how a network becomes an fp32 file.
        input: what the int8 file made of an fp32 file takes; None is what that one does.
        int8: also make the int8 file.
        quant: how.
        half: make a float16 file in its place.
        verify: compare the files with their source; without, they are written as they come.
        witness: ask BatchNorm on real calibration images first; what it contradicts ends the run.
        allow_float_ops: accept layers that ONNX Runtime leaves in float.
        keep_slow: accept an int8 file that is hardly faster than fp32 on this CPU, or slower.
        sensitivity: measure what each layer would gain and cost in float.
        budget: keep layers in float until this holds. The best file so far is always in place,
            even when the budget is missed in the end.
        force: replace files that this tool did not write.
        threads: of ONNX Runtime; 0 means the physical cores allowed here.

    Raises:
        SpecError: ``name`` is not a file name, or both ``int8`` and ``half`` are asked for.
    """

    out: Path | None = None
    name: str | None = None
    export: ExportSpec = field(default_factory=ExportSpec)
    input: InputFormat | None = None
    int8: bool = True
    quant: QuantSpec = field(default_factory=QuantSpec)
    half: bool = False
    verify: bool = True
    witness: bool = True
    allow_float_ops: bool = False
    keep_slow: bool = False
    sensitivity: bool = False
    budget: Budget | None = None
    force: bool = False
    threads: int = 0

    def __post_init__(self) -> None:
        if self.int8 and self.half:
            raise SpecError("one of int8 and fp16 is made beside fp32, not both")
        name = self.name
        if name is not None and (Path(name).name != name or name in ("", ".", "..")):
            raise SpecError(
                f"--name {name!r} must be a file name without folders: use -o for those"
            )
