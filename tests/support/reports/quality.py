"""Synthetic results on how good a file is: parity, accuracy, sensitivity, other CPUs."""

from __future__ import annotations

import random
from dataclasses import replace

from resnet_deploy.results import (
    Agreement,
    BudgetReport,
    Deployment,
    EvalResult,
    Fidelity,
    IsaReport,
    IsaRun,
    LayerSaturation,
    LayerSensitivity,
    MixedTrial,
    PairedTimes,
    PairedTop1,
    ParityCase,
    ParityReport,
    SaturationReport,
    SensitivityReport,
)
from resnet_deploy.spec import INT8_TOLERANCE
from tests.support.reports.parts import ENVIRONMENT, diff, modules

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


def parity_report() -> ParityReport:
    chance = random.Random(1)
    cases = tuple(
        ParityCase(
            reference="PyTorch on resnet34.onnx",
            candidate="ONNX Runtime on resnet34.int8.onnx",
            batch_size=batch,
            optimization=level,
            outputs=(diff("logits", 1.5 + chance.random()),),
            top1_equal=(True,) * 126 + (False,) * 2,
            tolerance=INT8_TOLERANCE,
        )
        for level in ("off", "all")
        for batch in (1, 2, 5)
    )
    noises = [1.5 ** (1 + index / 4) * (0.6 + chance.random()) for index in range(len(modules()))]
    layers = [diff(name, noise) for name, noise in zip(modules(), noises, strict=True)]
    layers[9] = diff(layers[9].name, 60.0)
    return ParityReport(
        model="artifacts/resnet34.int8.onnx",
        data="imagenet-sample",
        cases=cases,
        layers=(replace(layers[0], noise_power=0.0), *layers[1:]),
        environment=ENVIRONMENT,
    )


def evaluation(*, classes: tuple[str, ...] = CLASSES, each: int = 60) -> EvalResult:
    chance = random.Random(2)
    truth = [label for label in range(len(classes)) for _ in range(each)]

    def answers(accuracy: float) -> tuple[list[int], list[int], list[float]]:
        ranks, predicted, confidences = [], [], []
        for label in truth:
            right = chance.random() < accuracy - 0.02 * (label % 7)
            ranks.append(0 if right else 1 + int(chance.random() * 7))
            predicted.append(label if right else (label + chance.choice((1, 2))) % len(classes))
            confidences.append(round(min(1.0, (0.7 if right else 0.4) + 0.5 * chance.random()), 6))
        return ranks, predicted, confidences

    ranks, predicted, confidences = answers(0.93)
    other_ranks, other_predicted, other_confidences = answers(0.94)
    return EvalResult(
        model="resnet20.int8.onnx",
        sha256="0" * 64,
        ranks=tuple(ranks),
        predicted=tuple(predicted),
        confidences=tuple(confidences),
        data="cifar10/test",
        seconds=3.2,
        classes=classes,
        truth=tuple(truth),
        against=Agreement(
            model="resnet20.onnx",
            sha256="1" * 64,
            ranks=tuple(other_ranks),
            predicted=tuple(other_predicted),
            confidences=tuple(other_confidences),
            top1_equal=tuple(
                mine == theirs for mine, theirs in zip(predicted, other_predicted, strict=True)
            ),
            signal_power=100.0,
            noise_power=0.1,
        ),
        environment=ENVIRONMENT,
    )


def fidelity(noise: float, wrong: int) -> Fidelity:
    return Fidelity(
        data="cifar10/test",
        samples=1000,
        agreeing=990 - wrong,
        signal_power=1000.0,
        noise_power=noise,
        paired=PairedTop1(samples=1000, newly_right=2, newly_wrong=wrong),
    )


def deployment() -> Deployment:
    chance = random.Random(3)

    def times(slowdown: float) -> PairedTimes:
        return PairedTimes(
            int8_ns=tuple(int(17e6 * chance.uniform(1, 1.02)) for _ in range(12)),
            mixed_ns=tuple(int(17e6 * slowdown * chance.uniform(1, 1.02)) for _ in range(12)),
        )

    layers = [
        LayerSensitivity(
            name=name,
            modules=(name,),
            int8=fidelity(2.0, 9),
            mixed=fidelity(2.0 * chance.uniform(0.85, 1.01), 7),
            times=times(chance.uniform(0.995, 1.09)),
        )
        for name in modules()
    ]
    layers.sort(key=lambda layer: -layer.gain_per_ms)
    trials = tuple(
        MixedTrial(
            float_layers=tuple(layer.name for layer in layers[:count]),
            fidelity=fidelity(2.0 / (1 + count), 9 - count),
            times=times(1 + 0.05 * count) if count else None,
        )
        for count in (0, 1, 2, 4, 6)
    )
    return Deployment(
        files={"int8": "artifacts/resnet34.int8.onnx"},
        sha256={"int8": "0" * 64},
        parity={"int8": parity_report()},
        inspection=None,
        allowed_float_ops=True,
        notices=(),
        seconds=12.0,
        environment=ENVIRONMENT,
        sensitivity=SensitivityReport(
            model="resnet34.onnx", layers=tuple(layers), batch_size=1, threads=2, seconds=41.0
        ),
        budget=BudgetReport(max_drop=0.5, min_agreement=None, trials=trials),
    )


def isa_report() -> IsaReport:
    def run(isa: str, noise: float, identical: int) -> IsaRun:
        return IsaRun(
            isa=isa,
            emulator="qemu" if isa == "arm64" else None,
            seconds=8.0,
            cached=False,
            identical_samples=identical,
            logits=diff("logits", noise),
            top1_equal=(True,) * 127 + (noise < 5,),
            tolerance=INT8_TOLERANCE,
            reference=diff("logits", 2.0),
            reference_top1_equal=(True,) * 128,
        )

    return IsaReport(
        model="resnet34.int8.onnx",
        data="imagenet-sample",
        runs=(run("x86-vnni", 0.0, 128), run("x86-avx2", 90.0, 3), run("arm64", 0.4, 80)),
        reference="resnet34.onnx",
        environment=ENVIRONMENT,
    )


def saturation_report() -> SaturationReport:
    layers = tuple(
        LayerSaturation(
            name=name,
            weight_pairs=36_864,
            risky=index * 3 % 11,
            sums=10_000_000,
            overflows=index * 3 % 11 * 700,
            outputs=1_000_000,
            touched=index * 3 % 11 * 650,
            largest=33_000 + index,
        )
        for index, name in enumerate(modules()[:14])
    )
    return SaturationReport(
        model="resnet34.int8.onnx",
        data="imagenet-sample",
        images=128,
        layers=layers,
        environment=ENVIRONMENT,
    )
