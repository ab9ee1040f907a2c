"""The table of CPUs says who ran, how far off, and who failed."""

from __future__ import annotations

import io

from resnet_deploy.report.isa import isa_report
from rich.console import Console

from resnet_deploy.results import IsaReport, IsaRun, OutputDiff
from resnet_deploy.spec import Tolerance


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


def text(report: IsaReport) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(isa_report(report))
    return out.getvalue()


def test_failure_names_the_isa_and_the_figure():
    runs = (
        run("x86-avx2", 1.0, (True, True, True, False)),
        run("arm64", 0.0, (True,) * 4, identical_samples=4, cached=True),
    )
    shown = text(IsaReport(model="net.onnx", data="photos", runs=runs))
    assert "FAIL  on photos: x86-avx2: top-1 agreement 75.00% < 99.90%" in shown
    rows = {line.split()[1]: line for line in shown.splitlines() if "│" in line}
    assert "20.0" in rows["x86-avx2"]
    assert "2.0" in rows["x86-avx2"]
    assert "∞" in rows["arm64"]
    assert "cached" in rows["arm64"]
    assert "ref." not in shown


def test_pass_lists_what_is_proven_and_shows_the_reference():
    first = run("x86-vnni", 0.0, (True,) * 4, emulator=None)
    seen = run(
        "arm64", 0.1, (True,) * 4, reference=first.logits, reference_top1_equal=(True, False)
    )
    shown = text(
        IsaReport(model="net.onnx", data="photos", runs=(first, seen), reference="net on torch")
    )
    assert "PASS  on photos: proven on x86-vnni, arm64" in shown
    assert "net on torch (ref.)" in shown
    assert "this CPU" in shown
    assert "50.00%" in shown
