"""What ``resnet-deploy export`` can be asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from resnet_deploy.spec import InputFormat, OutputSpec, PreprocessOverrides, QuantSpec
from resnet_deploy.spec.licence import check_licence
from resnet_deploy.spec.model_request import ModelRequest


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """Everything ``resnet-deploy export`` can be asked for.

    ``labels``, ``licence`` (an SPDX expression) and ``preprocess`` go before what the card of the
    weights says, if they have one. ``name`` defaults to the model's own. ``calibration`` None means
    synthetic images. ``allow_float_ops`` accepts layers that ONNX Runtime leaves in float.

    Raises:
        SpecError: ``licence`` is something else.
    """

    model: ModelRequest
    weights: str = "random"
    out: Path = Path("artifacts")
    name: str | None = None
    labels: tuple[str, ...] = ()
    licence: str = ""
    preprocess: PreprocessOverrides = field(default_factory=PreprocessOverrides)
    output: OutputSpec = field(default_factory=OutputSpec)
    input: InputFormat = InputFormat.FLOAT_NCHW
    resize_in_graph: bool = False
    batch_size: int | None = None
    opset: int | None = None
    target_ort: str | None = None
    fold: bool = True
    simplify: bool = True
    int8: bool = True
    calibration: Path | None = None
    quant: QuantSpec = field(default_factory=QuantSpec)
    verify: bool = True
    allow_float_ops: bool = False
    force: bool = False
    seed: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        check_licence(self.licence)
