"""ResNets from a PyTorch checkpoint to the fastest correct ONNX file for CPUs.

::

    import resnet_deploy as rd

    net = rd.load("resnet50.pth")
    fp32 = rd.export(net)
    int8 = rd.quantize(fp32, calibration="photos/")
    rd.verify(int8, against=net).check()
    rd.save(int8, "resnet50.int8.onnx")

Importing this imports nothing heavy: what is asked for is found when it is asked for. It sets
``ORT_DISABLE_TELEMETRY`` unless the environment has it: since 1.31 the official builds of ONNX
Runtime report to their maker, on every system and from their first import on.
"""

from __future__ import annotations

import importlib
import os

from resnet_deploy.version import __version__

# ONNX Runtime's own switch, disable_telemetry_events(), comes after its first event and leaves a
# file with the machine's identifier behind.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Type checkers read this as that of the module typing, which takes longer to import than all else.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from resnet_deploy.api import (
        bench,
        bundle,
        compare,
        count_saturation,
        deploy,
        deploy_matrix,
        doctor,
        evaluate,
        export,
        load,
        predict,
        quantize,
        recipe_text,
        record,
        save,
        summary,
        train,
        tune,
        verify,
        verify_isa,
        witness,
    )
    from resnet_deploy.artifact.artifact import Artifact
    from resnet_deploy.artifact.card import Card
    from resnet_deploy.data.datasets import Dataset
    from resnet_deploy.errors import (
        ArtifactError,
        CheckFailed,
        CheckpointError,
        DatasetError,
        ExportError,
        MissingDependencyError,
        ResnetDeployError,
        RunnerError,
        SpecError,
        TrainingError,
        UnsupportedGraphError,
    )
    from resnet_deploy.models.network import Network
    from resnet_deploy.results import (
        AnswerResult,
        BenchmarkResult,
        BenchmarkSweep,
        BundleReport,
        Deployment,
        Diagnosis,
        Environment,
        EvalResult,
        IsaReport,
        MatrixReport,
        ModelSummary,
        ParityReport,
        Predictions,
        RegressionReport,
        SaturationReport,
        TrainingResult,
        TuningReport,
        WitnessReport,
    )
    from resnet_deploy.spec import InputContract, InputOptions

__all__ = [
    "AnswerResult",
    "Artifact",
    "ArtifactError",
    "BenchmarkResult",
    "BenchmarkSweep",
    "BundleReport",
    "Card",
    "CheckFailed",
    "CheckpointError",
    "Dataset",
    "DatasetError",
    "Deployment",
    "Diagnosis",
    "Environment",
    "EvalResult",
    "ExportError",
    "InputContract",
    "InputOptions",
    "IsaReport",
    "MatrixReport",
    "MissingDependencyError",
    "ModelSummary",
    "Network",
    "ParityReport",
    "Predictions",
    "RegressionReport",
    "ResnetDeployError",
    "RunnerError",
    "SaturationReport",
    "SpecError",
    "TrainingError",
    "TrainingResult",
    "TuningReport",
    "UnsupportedGraphError",
    "WitnessReport",
    "__version__",
    "bench",
    "bundle",
    "compare",
    "count_saturation",
    "deploy",
    "deploy_matrix",
    "doctor",
    "evaluate",
    "export",
    "load",
    "predict",
    "quantize",
    "recipe_text",
    "record",
    "save",
    "summary",
    "train",
    "tune",
    "verify",
    "verify_isa",
    "witness",
]


_NOUNS = (
    *("results", "spec", "artifact.artifact", "artifact.card", "data.datasets"),
    "models.network",
)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    homes: tuple[str, ...] = ("api",) if name.islower() else ("errors", *_NOUNS)
    modules = (importlib.import_module(f"resnet_deploy.{home}") for home in homes)
    found = next(getattr(module, name) for module in modules if hasattr(module, name))
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
