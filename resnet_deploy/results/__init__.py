"""What was learned: frozen results that keep the raw data; statistics are properties.

Nothing is rounded here; that is the report's business.
"""

from __future__ import annotations

from resnet_deploy.results.benchmark import (
    BenchmarkResult,
    BenchSamples,
    BenchSubject,
    Ratio,
    median_interval,
    paired_ratios,
)
from resnet_deploy.results.deployment import Deployment, ModelSummary, Stage
from resnet_deploy.results.environment import Environment
from resnet_deploy.results.evaluation import Agreement, EvalResult, Prediction, ScoredClass
from resnet_deploy.results.isa import IsaReport, IsaRun
from resnet_deploy.results.paired import ClassAccuracy, ConfusionChange, PairedTop1
from resnet_deploy.results.parity import (
    FloatOp,
    Inspection,
    OutputDiff,
    ParityCase,
    ParityReport,
    sqnr_db,
)
from resnet_deploy.results.saturation import LayerSaturation, SaturationReport
from resnet_deploy.results.sensitivity import (
    BudgetReport,
    Fidelity,
    LayerSensitivity,
    MixedTrial,
    PairedTimes,
    SensitivityReport,
)
from resnet_deploy.results.serialize import from_dict, to_dict
from resnet_deploy.results.verdict import Verdict

__all__ = [
    "Agreement",
    "BenchSamples",
    "BenchSubject",
    "BenchmarkResult",
    "BudgetReport",
    "ClassAccuracy",
    "ConfusionChange",
    "Deployment",
    "Environment",
    "EvalResult",
    "Fidelity",
    "FloatOp",
    "Inspection",
    "IsaReport",
    "IsaRun",
    "LayerSaturation",
    "LayerSensitivity",
    "MixedTrial",
    "ModelSummary",
    "OutputDiff",
    "PairedTimes",
    "PairedTop1",
    "ParityCase",
    "ParityReport",
    "Prediction",
    "Ratio",
    "SaturationReport",
    "ScoredClass",
    "SensitivityReport",
    "Stage",
    "Verdict",
    "from_dict",
    "median_interval",
    "paired_ratios",
    "sqnr_db",
    "to_dict",
]
