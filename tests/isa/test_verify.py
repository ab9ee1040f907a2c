"""The comparison of CPUs must be able to fail, and name who failed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.errors import ArtifactError, MissingDependencyError, RunnerError, SpecError
from resnet_deploy.isa import verify as verify_isa
from resnet_deploy.isa.emulated import EmulatedLogits
from resnet_deploy.isa.instruction_sets import ISAS, Isa
from resnet_deploy.isa.verify import (
    compare_isas,
    isa_tolerance,
    optional_reference,
    runnable_isas,
)
from resnet_deploy.reference import FileReference
from resnet_deploy.results import IsaReport, from_dict, to_dict
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import Tolerance
from tests.support.graphs import noise

IMAGES = noise(7, 3, 32, 32)
AVX2, ARM64 = ISAS["x86-avx2"], ISAS["arm64"]


@pytest.fixture
def other_cpus(monkeypatch):
    """ARM64 gives this CPU's logits; AVX2 another class for the first image."""

    def emulated(isa: Isa, path: Path, images: Array, **options: object) -> EmulatedLogits:
        logits = OrtRunner(path).infer(images)
        if isa is AVX2:
            logits[0, (logits[0].argmax() + 1) % 10] = logits[0].max() + np.float32(0.01)
        return EmulatedLogits(logits=logits, emulator="fake", seconds=1.5, cached=False)

    monkeypatch.setattr(verify_isa, "is_native", lambda isa: False)
    monkeypatch.setattr(verify_isa, "emulate", emulated)


def compared(path: Path, *isas: Isa, **options: object) -> IsaReport:
    tolerance = Tolerance(min_agreement=0.999)
    return compare_isas(path, isas, IMAGES, data="noise", tolerance=tolerance, **options)  # type: ignore[arg-type]


def test_one_cpu_that_differs_fails_and_the_other_is_proven(tiny_export, other_cpus):
    path = tiny_export / "resnet8.int8.onnx"
    reference = FileReference(tiny_export / "resnet8.onnx", runner="ort")
    report = compared(path, AVX2, ARM64, reference=reference)
    assert not report.passed
    assert report.proven == ("arm64",)
    avx2, arm64 = report.runs
    assert avx2.agreement == pytest.approx(6 / 7)
    assert avx2.identical_samples == 6
    assert avx2.failures == ("top-1 agreement 85.71% < 99.90%",)
    assert arm64.bit_identical
    assert arm64.logits.noise_power == 0
    assert arm64.reference is not None
    assert arm64.reference.sqnr_db > 10
    assert from_dict(IsaReport, to_dict(report)) == report
    assert to_dict(report)["runs"][1]["bit_identical"] is True


def test_this_cpu_is_not_emulated(tiny_export, monkeypatch):
    monkeypatch.setattr(verify_isa, "is_native", lambda isa: True)
    monkeypatch.setattr(verify_isa, "emulate", pytest.fail)
    (run,) = compared(tiny_export / "resnet8.onnx", ARM64).runs
    assert run.emulator is None
    assert run.bit_identical
    assert run.reference_agreement is None


def test_no_images_no_runs_no_proof(tiny_export):
    with pytest.raises(RunnerError, match="nothing to compare"):
        compare_isas(
            tiny_export / "resnet8.onnx", [ARM64], IMAGES[:0], data="", tolerance=Tolerance()
        )
    assert not IsaReport(model="m", data="d", runs=()).passed


def test_top1_is_judged_where_it_means_something(tiny_export):
    int8 = load(tiny_export / "resnet8.int8.onnx")
    assert isa_tolerance(int8, 500, meaningful=True).min_agreement == 0.999
    assert isa_tolerance(int8, 500, meaningful=False).min_agreement is None
    assert isa_tolerance(int8, 500, meaningful=False).min_sqnr_db is not None


def test_a_reference_is_needed_only_where_it_was_named(tiny_export, tmp_path):
    alone = tmp_path / "alone.int8.onnx"
    alone.write_bytes((tiny_export / "resnet8.int8.onnx").read_bytes())
    assert optional_reference(load(alone), None) is None
    with pytest.raises(ArtifactError):
        optional_reference(load(alone), tmp_path / "none.onnx")


def test_what_can_not_run_is_said_before_the_work(monkeypatch, tmp_path):
    monkeypatch.setenv("RESNET_DEPLOY_CACHE", str(tmp_path))
    monkeypatch.setattr(verify_isa, "is_native", lambda isa: isa is ARM64)
    assert runnable_isas(["arm64", "arm64"]) == (ARM64,)
    for names, said in (([""], "no ISA"), (["arm64", "sparc"], "sparc"), (["x86-vnni"], "drop it")):
        with pytest.raises(SpecError, match=said):
            runnable_isas(names)
    with pytest.raises((MissingDependencyError, SpecError)):  # SpecError where nothing can emulate
        runnable_isas(["x86-avx2"])
