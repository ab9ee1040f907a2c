"""Synthetic benchmarks: measured, profiled, compared, and what a search found."""

from __future__ import annotations

import random
from dataclasses import replace

from resnet_deploy.results import (
    BenchmarkResult,
    BenchSamples,
    BenchSubject,
    Fidelity,
    Ratio,
    Trial,
    TuningReport,
    paired_ratios,
)
from resnet_deploy.results.benchmark import OperatorKind, OperatorTime, Profile
from resnet_deploy.results.regression import Change, RegressionReport
from resnet_deploy.spec import (
    BenchSpec,
    CalibrationMethod,
    Effort,
    FileOptions,
    InputFormat,
    RunOptions,
    TuneSpec,
)
from tests.support.reports.parts import ENVIRONMENT, diff, modules


def bench_samples(
    label: str, runner: str, precision: str, milliseconds: float, *, spread: float = 0.04
) -> BenchSamples:
    chance = random.Random(label)
    first = runner == "torch"
    return BenchSamples(
        subject=BenchSubject(
            label=label,
            runner=runner,
            model="resnet34.int8.onnx" if precision == "int8" else "resnet34.onnx",
            precision=precision,
            input_shape=(3, 224, 224),
            input_dtype="float32",
            batch_size=1,
            threads=2,
        ),
        rounds_ns=tuple(
            tuple(
                int(1e6 * milliseconds * (1 + spread * chance.lognormvariate(0, 0.8)))
                for _ in range(10)
            )
            for _ in range(10)
        ),
        warmup_runs=12,
        load_ns=123_000_000,
        first_run_ns=int(2e6 * milliseconds),
        peak_rss_bytes=318_000_000,
        file_bytes=22_000_000 if precision == "int8" else 87_300_000,
        logits=None if first else diff("logits", 0.7 if precision == "int8" else 1e-10),
        top1_equal=() if first else (True,) * 8,
    )


def bench_result() -> BenchmarkResult:
    subjects = (
        bench_samples("PyTorch fp32", "torch", "fp32", 92.0, spread=0.08),
        bench_samples("ONNX Runtime fp32", "ort", "fp32", 61.0),
        bench_samples("ONNX Runtime int8", "ort", "int8", 17.5),
    )
    return BenchmarkResult(
        spec=BenchSpec(),
        environment=ENVIRONMENT,
        subjects=subjects,
        ratios=paired_ratios(subjects),
        skipped={"OpenVINO int8": "openvino is not installed"},
    )


def profile() -> Profile:
    chance = random.Random(5)

    def operator(module: str, kernel: str, ms: float, kind: OperatorKind) -> OperatorTime:
        runs = (int(ms * 1e6),) * 3
        return OperatorTime(node=module, module=module, kernel=kernel, kind=kind, runs_ns=runs)

    every = [
        operator(name, "QLinearConv", chance.uniform(0.2, 0.9), OperatorKind.INT8)
        for name in modules()[:-1]
    ]
    every += [
        operator(name, "QLinearAdd", 0.03, OperatorKind.INT8)
        for name in modules()
        if name.endswith("conv2")
    ]
    every += [
        operator("fc", "QGemm", 0.05, OperatorKind.INT8),
        operator("conv1", "QuantizeLinear", 0.11, OperatorKind.CONVERSION),
        operator("maxpool", "MaxPool", 0.1, OperatorKind.FLOAT),
    ]
    return Profile(subject="ONNX Runtime int8", batch_size=1, threads=2, operators=tuple(every))


def profiled(found: Profile) -> BenchmarkResult:
    return replace(bench_result(), profiles=(found,))


def regression() -> RegressionReport:
    def change(subject: str, slowdown: float) -> Change:
        chance = random.Random(subject)
        before = tuple(17e6 * chance.uniform(0.99, 1.01) for _ in range(6))
        return Change(
            subject=subject,
            batch_size=1,
            threads=2,
            instances=1,
            throughput=False,
            max_regress=0.05,
            by_process=True,
            before=before,
            after=tuple(slowdown * cost for cost in before),
        )

    changes = (
        change("PyTorch fp32", 1.01),
        change("ONNX Runtime fp32", 0.9),
        change("ONNX Runtime int8", 1.2),
    )
    return RegressionReport(
        old="monday.json",
        new="friday.json",
        max_regress=0.05,
        relative_to=None,
        changes=changes,
        unmatched=("OpenVINO int8",),
        differences=("another processor: A, B",),
    )


def tuning() -> TuningReport:
    def trial(
        recipe: FileOptions, speed: float, agreeing: int, size: float, threads: int = 2
    ) -> Trial:
        chance = random.Random(recipe.name)
        rounds = tuple(speed * chance.uniform(0.97, 1.03) for _ in range(12))
        ratio = Ratio(subject=recipe.name, reference="default", rounds=rounds, minima=speed)
        fidelity = Fidelity(
            data="imagenet-sample",
            samples=1000,
            agreeing=agreeing,
            signal_power=1000.0,
            noise_power=1.0,
        )
        return Trial(
            recipe=recipe,
            setting=RunOptions(runner="ort", threads=threads),
            file=f"{recipe.name}.onnx",
            sha256="0" * 64,
            file_bytes=int(size * 1e6),
            fidelity=fidelity,
            rounds_ms=(17.0,) * 12,
            ratio=None if speed == 1 else ratio,
        )

    default = FileOptions(input=InputFormat.FLOAT_NCHW)
    return TuningReport(
        model="artifacts/resnet34.onnx",
        sha256="0" * 64,
        data="imagenet-sample",
        spec=TuneSpec(min_agreement=0.98),
        environment=ENVIRONMENT,
        trials=(
            trial(default, 1, 981, 22.0),
            trial(replace(default, int8=False), 0.28, 1000, 87.3),
            trial(replace(default, effort=Effort.BEST), 1.01, 992, 22.0),
            trial(replace(default, method=CalibrationMethod.MINMAX), 1.02, 955, 22.0),
            trial(replace(default, input=InputFormat.UINT8_NHWC), 1.12, 984, 21.9),
            trial(replace(default, float_layers=("conv1",)), 0.86, 997, 22.4),
            trial(default, 0.61, 981, 22.0, threads=1),
        ),
        skipped={"openvino": "it is not installed"},
        seconds=612.0,
    )
