"""What was learned: frozen results that keep the raw data; what follows from it is a property.

Nothing is rounded here; that is the report's business.
"""

from __future__ import annotations

from resnet_deploy.results.accuracy import ClassAccuracy, ConfusionChange, PairedTop1
from resnet_deploy.results.answers import AnswerAgreement, AnswerResult, LabelCounts
from resnet_deploy.results.base import Result, from_dict, to_dict
from resnet_deploy.results.benchmark import (
    BenchmarkResult,
    BenchmarkSweep,
    BenchSamples,
    BenchSubject,
    ColdStart,
    OperatorKind,
    OperatorTime,
    Profile,
    paired_ratios,
)
from resnet_deploy.results.closeness import OutputDiff
from resnet_deploy.results.deployment import (
    BundledRuntime,
    BundleReport,
    Deployment,
    ModelSummary,
    Stage,
)
from resnet_deploy.results.diagnosis import Diagnosis, Missing, RunnerStatus
from resnet_deploy.results.environment import Environment
from resnet_deploy.results.evaluation import (
    Agreement,
    EvalResult,
    Prediction,
    Predictions,
    ScoredClass,
)
from resnet_deploy.results.interval import median_interval
from resnet_deploy.results.isa import IsaReport, IsaRun, LayerSaturation, SaturationReport
from resnet_deploy.results.matrix import CellResult, CellState, MatrixReport
from resnet_deploy.results.parity import FloatOp, Inspection, ParityCase, ParityReport
from resnet_deploy.results.preview import PlannedFile, PlannedPhase, Preview
from resnet_deploy.results.ratio import Ratio
from resnet_deploy.results.regression import Change, ChangeVerdict, RegressionReport
from resnet_deploy.results.sensitivity import (
    BudgetReport,
    Fidelity,
    LayerSensitivity,
    MixedTrial,
    PairedTimes,
    SensitivityReport,
)
from resnet_deploy.results.training import Epoch, TrainingResult
from resnet_deploy.results.tuning import Trial, TuningReport, read_tuning
from resnet_deploy.results.verdict import Verdict
from resnet_deploy.results.witness import Candidate, Finding, Question, WitnessReport
