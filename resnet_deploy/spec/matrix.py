"""Many networks, each made for several targets: what ``deploy --matrix`` is asked for."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from resnet_deploy.spec.bundle import BundleTarget
from resnet_deploy.spec.deploy import SmallPrecision
from resnet_deploy.spec.input_words import (
    ChannelOrder,
    InputFormat,
    Layout,
    ResizeMode,
)
from resnet_deploy.spec.model import Padding, Pool, Shortcut, Stem, Variant
from resnet_deploy.spec.output import OutputKind
from resnet_deploy.spec.quant import CalibrationMethod, Effort, FirstConv, ResidualStream, Runtime

_PLACES = frozenset(
    (
        *("weights", "labels", "calibration", "no_calibration_cache"),
        *("data", "labels_file", "bundle_data"),
    )
)
"""Where something lies, or is kept; a result depends on what is there."""


@dataclass(frozen=True, kw_only=True)
class CellOptions:
    """What is said of a cell, or of a part of the matrix; None: it is not said.

    The words are those of ``load``, ``InputOptions`` and ``deploy``; a test compares them. Besides,
    ``bundle`` says what kind of app the result is packed for, and ``bundle_data`` where pictures
    for its self-test are.
    """

    weights: str | None = None
    depth: int | None = None
    model: str | None = None
    variant: Variant | None = None
    shortcut: Shortcut | None = None
    stem: Stem | None = None
    plain: bool | None = None
    num_classes: int | None = None
    image_size: int | str | None = None
    in_channels: int | None = None
    bn_eps: float | None = None
    padding: Padding | None = None
    pool: Pool | None = None
    labels: str | None = None
    licence: str | None = None
    mean: float | tuple[float, ...] | None = None
    std: float | tuple[float, ...] | None = None
    range: str | None = None
    channel_order: ChannelOrder | None = None
    layout: Layout | None = None
    resize: int | str | None = None
    resize_mode: ResizeMode | None = None
    interpolation: str | None = None
    crop: float | None = None
    name: str | None = None
    output: str | None = None
    output_stride: int | None = None
    output_kind: OutputKind | None = None
    output_name: str | None = None
    input: InputFormat | None = None
    resize_in_graph: bool | None = None
    batch_size: int | None = None
    opset: int | None = None
    target_ort: str | None = None
    fold: bool | None = None
    simplify: bool | None = None
    int8: bool | None = None
    precision: SmallPrecision | None = None
    calibration: str | None = None
    calibration_method: CalibrationMethod | None = None
    calibration_samples: int | None = None
    no_calibration_cache: bool | None = None
    effort: Effort | None = None
    target_isa: str | None = None
    allow_overflow: bool | None = None
    first_conv: FirstConv | None = None
    residual_stream: ResidualStream | None = None
    runtime: Runtime | None = None
    exclude: tuple[str, ...] | None = None
    verify: bool | None = None
    witness: bool | None = None
    allow_float_ops: bool | None = None
    keep_slow: bool | None = None
    sensitivity: bool | None = None
    max_drop: float | None = None
    min_agreement: float | None = None
    data: str | None = None
    labels_file: str | None = None
    follow_links: bool | None = None
    seed: int | None = None
    bundle: BundleTarget | None = None
    bundle_data: str | None = None

    @property
    def said(self) -> dict[str, Any]:
        """What is said, by its word."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def content(self) -> dict[str, Any]:
        """What is said apart from where things lie."""
        return {name: value for name, value in self.said.items() if name not in _PLACES}

    @property
    def timed(self) -> str:
        """What of this needs times of the machine that it is asked on, in words; empty: nothing."""
        budget = self.max_drop is not None or self.min_agreement is not None
        if budget or self.sensitivity:
            return "it ranks layers by their time"
        small = self.int8 is not False and self.precision is not SmallPrecision.FP16
        if small and self.verify is not False and not self.keep_slow:
            return "it is timed whether int8 is faster than fp32"
        return ""

    def over(self, *others: CellOptions) -> CellOptions:
        """Return this with what ``others`` say where it says nothing, the first of them first."""
        said: dict[str, Any] = {}
        for each in reversed((self, *others)):
            said |= each.said
        return CellOptions(**said)


@dataclass(frozen=True, kw_only=True)
class MatrixCell:
    """One network for one target."""

    net: str
    target: str
    options: CellOptions

    @property
    def name(self) -> str:
        """What it is called in a table."""
        return f"{self.net} x {self.target}"

    @property
    def place(self) -> str:
        """Its folder below that of the matrix."""
        return f"{self.net}/{self.target}"


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """The cells that are left of all networks and targets, the targets of a network together."""

    file: str
    cells: tuple[MatrixCell, ...]
