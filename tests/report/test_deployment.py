"""What was made, what was checked, and what was not written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from resnet_deploy.report import html, view
from resnet_deploy.results import Deployment, FloatOp, Inspection, Verdict
from tests.support.html_reading import read
from tests.support.reports.quality import deployment
from tests.support.terminal import printed

PLAIN = replace(deployment(), sensitivity=None, budget=None, notices=("a notice",))


def inspected(*operators: FloatOp, allowed: bool = True) -> str:
    inspection = Inspection(
        model="m.onnx", op_counts={"QLinearConv": 36, "QGemm": 1}, float_ops=operators
    )
    return printed(replace(PLAIN, inspection=inspection, allowed_float_ops=allowed))


def operator(layer: str, *, requested: bool = False) -> FloatOp:
    return FloatOp(layer=layer, op_type="Conv", reason="a float input", requested=requested)


def test_files_and_checks(tmp_path: Path) -> None:
    file = tmp_path / "a[b].onnx"
    file.write_bytes(bytes(1_200_000))
    shown = printed(replace(PLAIN, files={"int8": str(file)}), width=400)
    assert "note  a notice" in shown
    assert f"wrote {file}  int8, 1.2 MB" in shown
    assert "took 12.0 s" in shown
    assert "PASS  int8 against PyTorch on resnet34.onnx: PASS  6 cases on" in shown


def test_a_file_that_was_moved_has_no_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # `make demo` writes a file of this name
    assert "wrote artifacts/resnet34.int8.onnx  int8\n" in printed(PLAIN).replace(" \n", "\n")


def test_nothing_written() -> None:
    failed: Deployment = replace(PLAIN, files={}, parity={})
    assert "FAIL  nothing was written: a check failed" in printed(failed)
    assert view(failed).title == "no file"
    assert "FAIL" in read(html(failed)).texts["p"]


def test_all_operators_in_int8() -> None:
    assert "int8 in ONNX Runtime: PASS  36 QLinearConv, 1 QGemm" in inspected()
    said = inspected(operator("fc", requested=True))
    assert "PASS  36 QLinearConv, 1 QGemm; 1 more in float for the layers that stay so" in said


@pytest.mark.parametrize("allowed", [True, False])
def test_operators_in_float_are_named(allowed: bool) -> None:
    said = inspected(*(operator(f"layer{n}") for n in range(14)), allowed=allowed)
    head = "in part," if allowed else "FAIL"
    assert f"int8 in ONNX Runtime: {head}  14 operators in float" in said
    assert "layer11: Conv, a float input" in said
    assert "layer12" not in said
    assert "and 2 more: see --json" in said
    assert ("--allow-float-ops writes the files all the same" in said) is not allowed


def test_the_ranking_the_search_and_the_budget() -> None:
    found = deployment()
    shown = printed(found, width=400)
    assert "One layer in float, all others in int8: 1,000 images of cifar10/test" in shown
    assert "budget (at most 0.5 points of top-1 lost): PASS" in shown
    headings = read(html(found)).texts["h2"]
    assert "What it would cost" in headings
    assert "The search for the budget" in headings


def test_the_verdict_on_this_cpu() -> None:
    verdict = Verdict(
        cpu="a CPU",
        vnni=True,
        threads=2,
        fp32_ns=(9_000_000,) * 9,
        int8_ns=(3_000_000,) * 9,
        fp32_bytes=4_000_000,
        int8_bytes=1_000_000,
        macs=1_000_000_000,
    )
    assert verdict.sqnr_db is None  # nothing was compared
    shown = printed(replace(PLAIN, verdict=verdict), width=400)
    assert (
        "verdict: too few pictures to tell whether int8 is worth it on this CPU (a CPU): 3.00"
        in shown
    )
