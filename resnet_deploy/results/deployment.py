"""What a network looks like, and what was made of it: files and bundles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from resnet_deploy.results.base import Result
from resnet_deploy.results.environment import Environment
from resnet_deploy.results.parity import Inspection, ParityReport
from resnet_deploy.results.preview import Preview
from resnet_deploy.results.sensitivity import BudgetReport, SensitivityReport
from resnet_deploy.results.verdict import Verdict
from resnet_deploy.results.witness import WitnessReport
from resnet_deploy.spec import InputContract


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One row of the paper's Table 1."""

    name: str
    output_size: str
    layers: str
    parameters: int
    macs: int


@dataclass(frozen=True, kw_only=True)
class ModelSummary(Result):
    """Table 1 of the paper for one net, or the same for an ONNX file.

    ``paper_flops`` are the paper's multiply-adds, None where it gives none. The fields after
    it are known for files only; ``input`` and ``outputs`` are the tensors of the graph, as
    ``c2 (N, 256, 56, 56) float32``; ``min_onnxruntime`` is the first release that loads the file.
    """

    DERIVED = ("parameters", "macs")

    name: str
    stages: tuple[Stage, ...]
    paper_flops: float | None = None
    precision: str | None = None
    opset: int | None = None
    file_bytes: int | None = None
    op_counts: dict[str, int] = field(default_factory=dict)
    input: str | None = None
    outputs: tuple[str, ...] = ()
    min_onnxruntime: str | None = None
    card: dict[str, Any] | None = None

    @property
    def parameters(self) -> int:
        """Weights and biases, BatchNorm's affine ones included, running statistics not."""
        return sum(stage.parameters for stage in self.stages)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and linear layers for one image."""
        return sum(stage.macs for stage in self.stages)


@dataclass(frozen=True, kw_only=True)
class Deployment(Result):
    """What ``export`` or ``quantize`` made: the files, and the proof of each.

    By precision (``fp32``, ``int8``, ``fp16``): paths, SHA-256 and parity. Without files a check
    failed.
    Where an accuracy ``budget`` was asked for, the best file is there even when a check failed.
    ``kept_fp32``: the int8 file was good but hardly faster than fp32, and so was not written.
    ``witness`` is what BatchNorm said of the source, where it was asked. With a ``preview`` nothing
    was done.
    """

    DERIVED = ("passed",)

    files: dict[str, str]
    sha256: dict[str, str]
    parity: dict[str, ParityReport]
    inspection: Inspection | None
    allowed_float_ops: bool
    notices: tuple[str, ...]
    seconds: float
    environment: Environment
    sensitivity: SensitivityReport | None = None
    budget: BudgetReport | None = None
    verdict: Verdict | None = None
    kept_fp32: bool = False
    preprocess: InputContract | None = None
    witness: WitnessReport | None = None
    preview: Preview | None = None

    @property
    def passed(self) -> bool:
        """True when every check that was run passed, and the files were written or a dry run's."""
        if self.preview is not None:
            return True
        kept = self.budget is None or self.budget.held
        close = all(report.passed for report in self.parity.values())
        return bool(self.files) and kept and close and not self.kept_fp32

    @property
    def written(self) -> dict[str, str]:
        """Paths of the files, with their SHA-256."""
        return {path: self.sha256[kind] for kind, path in self.files.items()}

    def _failure(self) -> str:
        wrong = [report.reason for report in self.parity.values() if report.reason is not None]
        if not self.parity and self.witness is not None and self.witness.reason is not None:
            wrong.append(f"BatchNorm contradicts {self.witness.reason} (--no-witness ignores it)")
        if self.budget is not None and not self.budget.held:
            missed = self.budget.missed(self.budget.best)
            wrong.append(f"the best int8 file misses the accuracy budget by {missed:.3g} points")
        if self.inspection is not None and not self.allowed_float_ops:
            wrong += [
                f"{op.op_type} of {op.layer} runs in float: {op.reason}"
                for op in self.inspection.float_ops
                if not op.accepted
            ]
        if self.verdict is not None and self.kept_fp32:
            wrong.append(f"{self.verdict.keep_fp32}; --keep-slow writes int8 all the same")
        return wrong[0] if wrong else "no file was written"


@dataclass(frozen=True, kw_only=True)
class BundledRuntime:
    """A runtime that a bundle runs on.

    ``name`` is ONNX Runtime or OpenVINO; ``made_with`` its release that recorded the answers here,
    ``min_version`` the first one that runs the files. ``threads`` 0 means that the machine decides;
    ``options`` are session options. ``tolerance`` bounds max |difference| / max |score|.
    """

    name: str
    made_with: str
    min_version: str
    threads: int
    spin: bool
    options: tuple[tuple[str, str], ...]
    tolerance: float


@dataclass(frozen=True, kw_only=True)
class BundleReport(Result):
    """A bundle that was written.

    ``sizes`` is bytes by file name; ``commands`` what makes it run its self-test, in its folder;
    ``notes`` what its receiver should know. ``runtimes`` are in the order in which a program tries
    them; ``why`` says why the first one is that, which ``tune`` measured as ``ratio`` times as fast
    as the default file, if it did.
    """

    DERIVED = ("tolerance",)

    target: str
    folder: str
    model: str
    precision: str
    sha256: str
    sizes: dict[str, int]
    cases: int
    real_pictures: int
    runtimes: tuple[BundledRuntime, ...]
    commands: tuple[str, ...]
    notes: tuple[str, ...] = ()
    why: str = ""
    ratio: float | None = None
    preprocess: InputContract | None = None

    @property
    def tolerance(self) -> float:
        """That of the first runtime."""
        return self.runtimes[0].tolerance
