"""ResNets from a PyTorch checkpoint to the fastest correct ONNX file for CPUs.

::

    import resnet_deploy as rd

    net = rd.load("resnet50.pth")
    fp32 = rd.export(net)
    int8 = rd.quantize(fp32, calibration="photos/")
    rd.verify(int8, against=net).check()
    rd.save(int8, "resnet50.int8.onnx")

Importing this imports nothing heavy: what is asked for is found when it is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from resnet_deploy.version import __version__

if TYPE_CHECKING:
    from resnet_deploy.api import (
        bench,
        bundle,
        compare,
        count_saturation,
        deploy,
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
    )
    from resnet_deploy.artifact.card import Card
    from resnet_deploy.artifact.onnx_file import Artifact
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
        BenchmarkResult,
        BenchmarkSweep,
        BundleReport,
        Deployment,
        Diagnosis,
        Environment,
        EvalResult,
        IsaReport,
        ModelSummary,
        ParityReport,
        Predictions,
        RegressionReport,
        SaturationReport,
        TrainingResult,
        TuningReport,
    )

_HOMES = {
    "resnet_deploy.api": (
        "bench",
        "bundle",
        "compare",
        "count_saturation",
        "deploy",
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
    ),
    "resnet_deploy.artifact.card": ("Card",),
    "resnet_deploy.artifact.onnx_file": ("Artifact",),
    "resnet_deploy.data.datasets": ("Dataset",),
    "resnet_deploy.errors": (
        "ArtifactError",
        "CheckFailed",
        "CheckpointError",
        "DatasetError",
        "ExportError",
        "MissingDependencyError",
        "ResnetDeployError",
        "RunnerError",
        "SpecError",
        "TrainingError",
        "UnsupportedGraphError",
    ),
    "resnet_deploy.models.network": ("Network",),
    "resnet_deploy.results": (
        "BenchmarkResult",
        "BenchmarkSweep",
        "BundleReport",
        "Deployment",
        "Diagnosis",
        "Environment",
        "EvalResult",
        "IsaReport",
        "ModelSummary",
        "ParityReport",
        "Predictions",
        "RegressionReport",
        "SaturationReport",
        "TrainingResult",
        "TuningReport",
    ),
}
"""Where each public name lives; the type checker reads the same above."""

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
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
    "IsaReport",
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
    "__version__",
    "bench",
    "bundle",
    "compare",
    "count_saturation",
    "deploy",
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
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
