"""Every result can be checked, written as JSON, and shown by the renderers above it.

Long because it makes one of every result.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from resnet_deploy.errors import CheckFailed
from resnet_deploy.results import (
    BenchmarkResult,
    BenchSamples,
    BenchSubject,
    BudgetReport,
    BundledRuntime,
    BundleReport,
    Change,
    Deployment,
    Diagnosis,
    Environment,
    EvalResult,
    FloatOp,
    Inspection,
    IsaReport,
    IsaRun,
    LayerSaturation,
    MixedTrial,
    ModelSummary,
    OutputDiff,
    ParityCase,
    ParityReport,
    Prediction,
    Predictions,
    RegressionReport,
    Result,
    SaturationReport,
    ScoredClass,
    SensitivityReport,
    TrainingResult,
    Trial,
    TuningReport,
    to_dict,
)
from resnet_deploy.spec import BenchSpec, FileOptions, InputFormat, RunOptions, Tolerance, TuneSpec
from tests.support.sensitivity import fidelity

HERE = Environment(
    command="a command", cpu="a CPU", isa=(), cores=2, os="an OS", python="3.11", versions={}
)
CLOSE = OutputDiff(
    name="logits",
    samples=4,
    max_abs=0.5,
    max_reference=10.0,
    signal_power=1000.0,
    noise_power=1.0,
    dot=999.0,
    candidate_power=1000.0,
)
FAR = replace(CLOSE, noise_power=100.0)
TOLERANCE = Tolerance(min_sqnr_db=15.0)


def parity(logits: OutputDiff, *, layers: tuple[OutputDiff, ...] = ()) -> ParityReport:
    case = ParityCase(
        reference="torch",
        candidate="m.onnx on ort",
        batch_size=2,
        optimization="all",
        outputs=(logits,),
        top1_equal=(True, True, True, False),
        tolerance=TOLERANCE,
    )
    return ParityReport(model="m.onnx", data="noise", cases=(case,), layers=layers)


def isa(*runs: tuple[str, OutputDiff]) -> IsaReport:
    return IsaReport(
        model="m.onnx",
        data="noise",
        runs=tuple(
            IsaRun(
                isa=name,
                emulator="qemu",
                seconds=1.0,
                cached=False,
                identical_samples=0,
                logits=logits,
                top1_equal=(True,) * 4,
                tolerance=TOLERANCE,
            )
            for name, logits in runs
        ),
    )


def saturation(overflows: int) -> SaturationReport:
    layer = LayerSaturation(name="conv1", weight_pairs=8, risky=1, sums=9, overflows=overflows)
    return SaturationReport(model="m.onnx", data="noise", images=2, layers=(layer,))


def regression(slowdown: float) -> RegressionReport:
    change = Change(
        subject="m.onnx on ort",
        batch_size=1,
        threads=2,
        instances=1,
        throughput=False,
        max_regress=0.05,
        by_process=True,
        before=(1.0, 1.001, 0.999, 1.0),
        after=tuple(slowdown * factor for factor in (1.0, 1.001, 0.999, 1.0)),
    )
    return RegressionReport(
        old="a.json", new="b.json", max_regress=0.05, relative_to=None, changes=(change,)
    )


def tuning(agreeing: int) -> TuningReport:
    trial = Trial(
        recipe=FileOptions(input=InputFormat.FLOAT_NCHW),
        setting=RunOptions(runner="ort", threads=2),
        file="m.onnx",
        sha256="0" * 64,
        file_bytes=1000,
        fidelity=fidelity(agreeing=agreeing),
        rounds_ms=(1.0, 1.1),
    )
    return TuningReport(
        model="m.onnx",
        sha256="0" * 64,
        data="test",
        spec=TuneSpec(min_agreement=0.99),
        environment=HERE,
        trials=(trial,),
    )


def deployment(
    logits: OutputDiff = CLOSE, *, agreeing: int = 100, files: bool = True, reason: str = ""
) -> Deployment:
    ops = (FloatOp(layer="fc", op_type="Gemm", reason=reason),) if reason else ()
    return Deployment(
        files={"fp32": "m.onnx"} if files else {},
        sha256={"fp32": "0" * 64} if files else {},
        parity={"fp32": parity(logits)},
        inspection=Inspection(model="m.onnx", op_counts={}, float_ops=ops),
        allowed_float_ops=False,
        notices=(),
        seconds=1.0,
        environment=HERE,
        budget=BudgetReport(
            max_drop=None,
            min_agreement=0.99,
            trials=(MixedTrial(float_layers=(), fidelity=fidelity(agreeing=agreeing)),),
        ),
    )


def benchmark() -> BenchmarkResult:
    subject = BenchSubject(
        label="m.onnx",
        runner="ort",
        model="m.onnx",
        precision="fp32",
        input_shape=(3, 8, 8),
        input_dtype="float32",
        batch_size=1,
        threads=2,
    )
    samples = BenchSamples(
        subject=subject,
        rounds_ns=((1000, 1100),),
        warmup_runs=1,
        load_ns=1000,
        first_run_ns=1000,
        peak_rss_bytes=1000,
        file_bytes=1000,
    )
    return BenchmarkResult(spec=BenchSpec(), environment=HERE, subjects=(samples,), ratios=())


def diagnosis() -> Diagnosis:
    return Diagnosis(
        environment=replace(HERE, isa=("avx512_vnni",)),
        allowed_cpus=2,
        physical_cores=2,
        quota=None,
        memory_bytes=1000,
        available_bytes=500,
        execution_providers=("CPUExecutionProvider",),
        runners=(),
        isas={},
        missing=(),
    )


def predictions() -> Predictions:
    cat = ScoredClass(index=0, label="cat", probability=0.75, logit=2.0)
    return Predictions(
        model="m.onnx",
        sha256="0" * 64,
        predictions=(Prediction(image="cat.jpg", classes=(cat,)),),
        environment=HERE,
    )


BUNDLE = BundleReport(
    target="cpp",
    folder="app",
    model="m",
    precision="int8",
    sha256="0" * 64,
    sizes={},
    cases=4,
    real_pictures=0,
    runtimes=(
        BundledRuntime(
            name="ONNX Runtime",
            made_with="1.31.1",
            min_version="1.14",
            threads=0,
            spin=True,
            options=(),
            tolerance=0.01,
        ),
    ),
    commands=(),
)
TRAINING = TrainingResult(
    model="resnet8",
    recipe={},
    data="cifar",
    classes=("cat", "dog"),
    train_images=4,
    test_images=2,
    parameters=10,
    epochs=(),
    files={},
    export="a command",
)
SENSITIVITY = SensitivityReport(model="m", layers=(), batch_size=1, threads=2, seconds=1.0)

GOOD: tuple[Result, ...] = (
    parity(CLOSE),
    isa(("arm64", CLOSE)),
    saturation(0),
    regression(1.0),
    tuning(100),
    deployment(),
)
WITHOUT_VERDICT: tuple[Result, ...] = (
    benchmark(),
    EvalResult(model="m", sha256="0" * 64, ranks=(0, 1), data="test", seconds=1.0),
    predictions(),
    diagnosis(),
    ModelSummary(name="resnet8", stages=()),
    BUNDLE,
    TRAINING,
    SENSITIVITY,
)


def named(result: Result) -> str:
    return type(result).__name__


@pytest.mark.parametrize("result", GOOD, ids=named)
def test_a_good_result_is_returned_by_its_check(result: Result) -> None:
    assert result.passed is True
    assert result.reason is None
    assert result.check() is result


@pytest.mark.parametrize("result", WITHOUT_VERDICT, ids=named)
def test_a_result_without_a_verdict_never_fails(result: Result) -> None:
    assert result.passed is None
    assert result.check() is result


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (
            parity(FAR, layers=(replace(CLOSE, name="conv1"), replace(FAR, name="layer1.0"))),
            "m.onnx on ort is too far from torch (batch size 2, optimisations all): SQNR 10.0 dB "
            "< 15.0 dB; the first layer that drifts is layer1.0",
        ),
        (parity(replace(FAR, noise_power=31.7)), "SQNR 14.99 dB < 15.00 dB"),
        (ParityReport(model="m.onnx", data="d", cases=()), "m.onnx: nothing was compared"),
        (isa(("arm64", CLOSE), ("x86-avx2", FAR)), "m.onnx: x86-avx2: SQNR 10.0 dB < 15.0 dB"),
        (isa(), "m.onnx: nothing was compared"),
        (saturation(3), "m.onnx: sums of products overflow without VNNI in conv1"),
        (regression(1.5), "m.onnx on ort is at least 49."),
        (tuning(98), "m.onnx: none of the 1 trials keeps the accuracy budget"),
        (deployment(FAR), "m.onnx on ort is too far from torch"),
        (deployment(agreeing=97), "the best int8 file misses the accuracy budget by 2 points"),
        (deployment(reason="no kernel", files=False), "Gemm of fc runs in float: no kernel"),
        (deployment(files=False), "no file was written"),
    ],
    ids=lambda value: named(value) if isinstance(value, Result) else "",
)
def test_a_check_says_in_one_line_what_failed(result: Result, reason: str) -> None:
    assert result.passed is False
    with pytest.raises(CheckFailed) as caught:
        result.check()
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value) == result.reason


@pytest.mark.parametrize("result", GOOD + WITHOUT_VERDICT, ids=named)
def test_json_of_a_result_is_that_of_its_fields_and_figures(result: Result) -> None:
    data = result.to_dict()
    assert data == to_dict(result)
    assert set(result.DERIVED) <= set(data)
    assert "reason" not in data


def test_json_of_predictions() -> None:
    found = predictions()
    assert found.to_dict() == {
        "model": "m.onnx",
        "sha256": "0" * 64,
        "predictions": [to_dict(prediction) for prediction in found.predictions],
        "output_kind": "",
        "environment": to_dict(HERE),
        "preprocess": None,
    }


def test_a_diagnosis_judges_the_cpu() -> None:
    assert diagnosis().to_dict()["vnni"] is True
    assert "VNNI" in diagnosis().to_dict()["int8"]


def test_renderers_are_found_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written: list[tuple[Result, Path]] = []
    renderers = SimpleNamespace(
        write=lambda result, path: written.append((result, path)),
        notebook=lambda result: f"<p>{result.model}</p>",
    )
    monkeypatch.setitem(sys.modules, "resnet_deploy.report", renderers)
    BUNDLE.report(tmp_path / "bundle.html")
    assert written == [(BUNDLE, tmp_path / "bundle.html")]
    assert BUNDLE._repr_html_() == "<p>m</p>"
