"""The table of CPUs says who ran, how far off, and who failed."""

from __future__ import annotations

from dataclasses import replace

from resnet_deploy.report import csv, html, json, markdown
from resnet_deploy.results import IsaReport, IsaRun, OutputDiff
from resnet_deploy.spec import Tolerance
from tests.support.html_reading import read
from tests.support.terminal import printed, rows


def run(isa: str, noise: float, top1: tuple[bool, ...], **more: object) -> IsaRun:
    diff = OutputDiff(
        name="logits",
        samples=4,
        max_abs=noise,
        max_reference=10.0,
        signal_power=100.0,
        noise_power=noise,
        dot=100.0,
        candidate_power=100.0,
    )
    fields = {"emulator": "qemu", "seconds": 2.04, "cached": False, "identical_samples": 1, **more}
    return IsaRun(
        isa=isa,
        logits=diff,
        top1_equal=top1,
        tolerance=Tolerance(min_agreement=0.999),
        **fields,  # type: ignore[arg-type]
    )


def test_failure_names_the_isa_and_the_figure():
    runs = (
        run("x86-avx2", 1.0, (True, True, True, False)),
        run("arm64", 0.0, (True,) * 4, identical_samples=4, cached=True),
    )
    shown = printed(IsaReport(model="net.onnx", data="photos", runs=runs))
    assert "FAIL  on photos: x86-avx2: top-1 agreement 75.00% < 99.90%" in shown
    cells = "x86-avx2 qemu 4 1 20.0 dB 75.00% 2.0 fails"
    assert rows(shown)["x86-avx2"] == cells.split()
    assert "identical" in rows(shown)["arm64"]
    assert "cached" in rows(shown)["arm64"]
    assert "ref." not in shown


def test_pass_lists_what_is_proven_and_shows_the_reference():
    first = run("x86-vnni", 0.0, (True,) * 4, emulator=None)
    seen = run(
        "arm64", 0.1, (True,) * 4, reference=first.logits, reference_top1_equal=(True, False)
    )
    shown = printed(
        IsaReport(model="net.onnx", data="photos", runs=(first, seen), reference="net on torch")
    )
    assert "PASS  on photos: proven on x86-vnni, arm64" in shown
    assert "net on torch (ref.)" in shown
    assert "this CPU" in shown
    assert "50.00%" in shown


def test_a_file_without_classes_has_no_top1() -> None:
    """Features, an embedding: there is no class to agree on, here or with the reference."""
    features = run("arm64", 0.1, (), identical_samples=2)
    features = replace(features, reference=features.logits)
    report = IsaReport(model="net.onnx", data="photos", runs=(features,), reference="net on torch")
    assert features.agreement is None
    cells = "arm64 qemu 4 2 30.0 dB - 30.0 dB - 2.0 ok"
    assert rows(printed(report))["arm64"] == cells.split()
    assert read(html(report)).texts["td"].count("-") == 2
    assert "arm64,qemu,4,2,30.0,,30.0,,2.04,ok\n" in csv(report)
    assert "| arm64 | qemu | 4 | 2 | 30.0 dB | - | 30.0 dB | - | 2.0 | ok |" in markdown(report)
    assert '"agreement": null' in json(report)
    assert read(html(replace(report, environment=None))).texts["h1"] == ["net.onnx"]


def test_pages_and_files_say_which_bound_is_broken() -> None:
    report = IsaReport(model="m", data="d", runs=(run("arm64", 1.0, (True, False)),))
    assert "top-1 agreement 50.00% < 99.90%" in read(html(report)).texts["td"]
    assert "top-1 agreement 50.00% < 99.90%" in csv(report)
