"""What was learned: frozen results that keep the raw data; statistics are properties.

Nothing is rounded here; that is the report's business.
"""

from __future__ import annotations

from resnet_deploy.results.benchmark import (
    BenchmarkResult,
    BenchSamples,
    BenchSubject,
    ColdStart,
    paired_ratios,
)
from resnet_deploy.results.bundle import BundleReport
from resnet_deploy.results.deployment import Deployment, ModelSummary, Stage
from resnet_deploy.results.diagnosis import Diagnosis, Missing, RunnerStatus
from resnet_deploy.results.environment import Environment
from resnet_deploy.results.evaluation import Agreement, EvalResult, Prediction, ScoredClass
from resnet_deploy.results.interval import median_interval
from resnet_deploy.results.isa import IsaReport, IsaRun
from resnet_deploy.results.operator_times import OperatorKind, OperatorTime, Profile
from resnet_deploy.results.paired import ClassAccuracy, ConfusionChange, PairedTop1
from resnet_deploy.results.parity import (
    FloatOp,
    Inspection,
    OutputDiff,
    ParityCase,
    ParityReport,
    sqnr_db,
)
from resnet_deploy.results.ratio import Ratio
from resnet_deploy.results.regression import Change, ChangeVerdict, RegressionReport
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
from resnet_deploy.results.tuning import Recipe, Setting, Trial, TuningReport
from resnet_deploy.results.verdict import Verdict

__all__ = [
    "Agreement",
    "BenchSamples",
    "BenchSubject",
    "BenchmarkResult",
    "BudgetReport",
    "BundleReport",
    "Change",
    "ChangeVerdict",
    "ClassAccuracy",
    "ColdStart",
    "ConfusionChange",
    "Deployment",
    "Diagnosis",
    "Environment",
    "EvalResult",
    "Fidelity",
    "FloatOp",
    "Inspection",
    "IsaReport",
    "IsaRun",
    "LayerSaturation",
    "LayerSensitivity",
    "Missing",
    "MixedTrial",
    "ModelSummary",
    "OperatorKind",
    "OperatorTime",
    "OutputDiff",
    "PairedTimes",
    "PairedTop1",
    "ParityCase",
    "ParityReport",
    "Prediction",
    "Profile",
    "Ratio",
    "Recipe",
    "RegressionReport",
    "RunnerStatus",
    "SaturationReport",
    "ScoredClass",
    "SensitivityReport",
    "Setting",
    "Stage",
    "Trial",
    "TuningReport",
    "Verdict",
    "from_dict",
    "median_interval",
    "paired_ratios",
    "sqnr_db",
    "to_dict",
]
