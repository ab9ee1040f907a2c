"""A synthetic result of every kind: what views and writers are shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from resnet_deploy.results import (
    AnswerAgreement,
    AnswerResult,
    BenchmarkSweep,
    BundledRuntime,
    BundleReport,
    Candidate,
    CellResult,
    CellState,
    Diagnosis,
    LabelCounts,
    MatrixReport,
    Missing,
    ModelSummary,
    Prediction,
    Predictions,
    Question,
    RunnerStatus,
    ScoredClass,
    Stage,
    WitnessReport,
)
from resnet_deploy.results.training import Epoch, TrainingResult
from tests.support.reports.benchmarks import bench_result, profile, regression, tuning
from tests.support.reports.parts import ENVIRONMENT
from tests.support.reports.quality import (
    deployment,
    evaluation,
    isa_report,
    parity_report,
    saturation_report,
)


def answers() -> AnswerResult:
    return AnswerResult(
        model="labels.int8.onnx",
        sha256="0" * 64,
        output_kind="multi-label",
        data="photos (sha256 0123456789ab)",
        samples=40,
        seconds=1.5,
        labels=tuple(
            LabelCounts(
                name=f"label {number}",
                true_positives=number,
                false_positives=1,
                false_negatives=2,
                average_precision=None if number == 0 else number / 25,
            )
            for number in range(25)
        ),
        against=AnswerAgreement(
            model="labels.onnx",
            sha256="1" * 64,
            answers_equal=(True,) * 39 + (False,),
            signal_power=100.0,
            noise_power=0.1,
        ),
        not_compared=("something, as it could not fail",),
        skipped=("a.jpg",),
        environment=ENVIRONMENT,
    )


def bundle() -> BundleReport:
    return BundleReport(
        target="cpp",
        folder="out/app",
        model="model.onnx",
        precision="int8",
        sha256="0" * 64,
        sizes={"model.onnx": 21_900_000, "runner.hpp": 4_096},
        cases=7,
        real_pictures=3,
        runtimes=(
            BundledRuntime(
                name="OpenVINO",
                made_with="2026.4.1",
                min_version="2026.4",
                threads=2,
                spin=True,
                options=(),
                tolerance=1e-4,
            ),
            BundledRuntime(
                name="ONNX Runtime",
                made_with="1.31.1",
                min_version="1.14",
                threads=0,
                spin=True,
                options=(),
                tolerance=1e-4,
            ),
        ),
        why="as tune measured: 1.31 times the default file's speed on Xeon",
        ratio=1.31,
        commands=("cmake -B build", "cmake --build build"),
        notes=("ONNX Runtime 1.14 or later",),
    )


def matrix() -> MatrixReport:
    """Return a cell in each state."""

    def cell(target: str, state: CellState, **words: Any) -> CellResult:
        folder = f"out/resnet34/{target}"
        return CellResult(net="resnet34", target=target, folder=folder, state=state, **words)

    return MatrixReport(
        matrix="nets/m.toml",
        folder="out",
        cells=(
            cell(
                "page",
                CellState.DONE,
                files={"out/resnet34/page/resnet34.onnx": "0" * 64},
                seconds=12.34,
                notices=("no calibration images",),
                deployment=deployment(),
                bundle=bundle(),
            ),
            cell("server", CellState.UNCHANGED, timed="it is timed whether int8 is faster"),
            cell("phone", CellState.FAILED, reason="no such weights", code=2, seconds=0.1),
        ),
        seconds=13.0,
        environment=ENVIRONMENT,
        notices=("1 of 3 cells are made in this process",),
    )


def diagnosis() -> Diagnosis:
    return Diagnosis(
        environment=ENVIRONMENT,
        allowed_cpus=4,
        physical_cores=2,
        quota=None,
        memory_bytes=16_000_000_000,
        available_bytes=9_000_000_000,
        execution_providers=("CPUExecutionProvider",),
        runners=(
            RunnerStatus(name="ort", installed=True),
            RunnerStatus(name="openvino", installed=False, problem="pip install openvino"),
        ),
        isas={"x86-vnni": "this CPU"},
        missing=(Missing(package="torch", needed_for="exports", install="pip install torch"),),
    )


def predictions() -> Predictions:
    classes = (
        ScoredClass(index=1, label="cat", probability=0.75, logit=2.0),
        ScoredClass(index=0, label="dog", probability=0.25, logit=1.0),
    )
    return Predictions(
        model="resnet18.onnx",
        sha256="0" * 64,
        predictions=tuple(Prediction(image=name, classes=classes) for name in ("a.jpg", "b.jpg")),
    )


def summary() -> ModelSummary:
    stages = (
        Stage(
            name="conv2_x",
            output_size="56x56",
            layers="3x3 max pool, stride 2; [3x3, 64; 3x3, 64] x 2",
            parameters=147_968,
            macs=462_422_016,
        ),
        Stage(name="fc", output_size="1x1", layers="10-d fc", parameters=5_130, macs=5_120),
    )
    return ModelSummary(name="resnet18", stages=stages, paper_flops=1.8e9)


def training() -> TrainingResult:
    def epoch(number: int, top1: float) -> Epoch:
        return Epoch(
            number=number,
            steps=10 * number,
            lr=0.05,
            train_loss=1.25,
            train_top1=0.5,
            test_loss=1.5,
            test_top1=top1,
            images=1000,
            seconds=4.0,
            waited=0.1,
        )

    return TrainingResult(
        model="resnet8",
        recipe={"epochs": 7},
        data="synthetic",
        classes=("a", "b", "c"),
        train_images=1000,
        test_images=500,
        parameters=75_000,
        epochs=tuple(epoch(number, 0.6 + 0.1 * (number == 3)) for number in range(1, 8)),
        files={"last": "runs/r/last.pt", "model": "runs/r/model.safetensors"},
        export="resnet-deploy export --weights runs/r/model.safetensors",
        notices=("the head is new",),
        threads=2,
        precision="bfloat16",
        environment=ENVIRONMENT,
    )


def witness() -> WitnessReport:
    def question(name: str, answers: tuple[str, str], margin: float) -> Question:
        return Question(
            name=name,
            held=answers[1],
            stated=name == "shortcut",
            layers=("bn1", "layer1.0.bn1"),
            pictures=128,
            candidates=tuple(
                Candidate(name=answer, divergences=(0.001 + number / 4, 0.002 + number / 4))
                for number, answer in enumerate(answers)
            ),
            margin=margin,
            needed=2.0,
            credible=True,
        )

    return WitnessReport(
        model="resnet20.th",
        data="photos (sha256 0123456789ab)",
        pictures=128,
        layers=("bn1", "layer1.0.bn1"),
        divergences=(0.001, 0.002),
        crop="whole pictures",
        alike=True,
        questions=(
            question("channel order", ("BGR", "RGB"), 80.0),
            question("shortcut", ("A", "A-end"), 1.2),
        ),
        hints=("a hint: bicubic fits 1.9 times better than bilinear (assumed)",),
        environment=ENVIRONMENT,
    )


CHARTED: dict[str, Any] = {
    "bench": replace(bench_result(), profiles=(profile(),)),
    "sweep": BenchmarkSweep(results=(bench_result(), replace(bench_result(), ratios=()))),
    "compare": regression(),
    "verify": parity_report(),
    "isa": isa_report(),
    "saturation": saturation_report(),
    "evaluate": evaluation(),
    "quantize": deployment(),
    "sensitivity": deployment().sensitivity,
    "tune": replace(tuning(), shipped="resnet34.tuned/resnet34.tuned.onnx"),
}
"""Results whose pages have charts, by name."""

RESULTS: dict[str, Any] = {
    **CHARTED,
    "answers": answers(),
    "bundle": bundle(),
    "doctor": diagnosis(),
    "matrix": matrix(),
    "predict": predictions(),
    "summary": summary(),
    "train": training(),
    "witness": witness(),
}
"""One result of every kind, by name."""
