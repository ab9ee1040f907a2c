"""Int8 that is hardly faster is not offered; with times of a stub, so that no clock decides."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from resnet_deploy import api
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.deployment import making
from resnet_deploy.deployment.mix import Mix, find_mix
from resnet_deploy.errors import CheckFailed, UnsupportedGraphError
from resnet_deploy.judge import judge, judged_again
from resnet_deploy.progress import silent
from resnet_deploy.quantization.kernels import resolve_target
from resnet_deploy.quantization.stages import Stage
from resnet_deploy.results import Deployment, Verdict, from_dict, to_dict
from resnet_deploy.runners.cpu import has_bfloat16, isa
from resnet_deploy.spec import TargetIsa
from tests.support.environment import HERE
from tests.support.graphs import noise, parse
from tests.support.terminal import printed

ONE, TWO, THREE = (Stage((name,), name, name) for name in ("one", "two", "three"))


@pytest.mark.parametrize(
    ("gains", "chosen"),
    [
        ({}, ()),
        ({ONE}, (ONE,)),
        ({TWO}, (TWO,)),
        ({ONE, THREE}, (ONE, THREE)),
        ({ONE, TWO, THREE}, (ONE, TWO)),  # all three would be the fp32 file
    ],
)
def test_every_stage_is_tried_once_beside_what_gained(
    gains: set[Stage], chosen: tuple[Stage, ...]
) -> None:
    """Files are stood for by the stages that are float in them."""
    written: list[tuple[Stage, ...]] = []

    def write(stages: tuple[Stage, ...]) -> Any:
        written.append(stages)
        return stages

    def faster(first: Any, second: Any) -> float:
        return 1.2 if second[-1] in gains else 1.02

    whole: Any = ()
    best = find_mix(whole, (ONE, TWO, THREE), write, faster, silent)
    made: Any = best.made
    assert best.stages == chosen
    assert made == chosen
    assert len(written) <= 3
    assert [stages[-1] for stages in written] == [ONE, TWO, THREE][: len(written)]


def test_a_stage_that_can_not_stay_float_is_passed_over() -> None:
    def write(stages: tuple[Stage, ...]) -> Any:
        if ONE in stages:
            raise UnsupportedGraphError("no")
        return stages

    whole: Any = ()
    assert find_mix(whole, (ONE, TWO, THREE), write, lambda *_: 2.0, silent).stages == (TWO, THREE)


def foreign(folder: Path) -> Path:
    text = """
    g (float[N, 3, 16, 16] x) => (float[N, 5] y) {
        stem = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x, stem.weight)
        relu = Relu(stem)
        down = Conv<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(relu, down.weight)
        act = Relu(down)
        pool = GlobalAveragePool(act)
        flat = Flatten(pool)
        y = Gemm<transB = 1>(flat, fc.weight, fc.bias)
    }
    """
    weights = {
        "stem.weight": noise(16, 3, 3, 3, seed=1) / 4,
        "down.weight": noise(16, 16, 3, 3, seed=2) / 10,
        "fc.weight": noise(5, 16, seed=3),
        "fc.bias": noise(5, seed=4),
    }
    path = folder / "net.onnx"
    onnx.save(parse(text, weights), path)
    return path


def clocked(monkeypatch: pytest.MonkeyPatch, whole: float, mixed: float) -> None:
    """Let int8 be so many times as fast as fp32, in all or with stages in float."""

    def judged(fp32: Path, int8: Path, images: Any, **words: Any) -> Verdict:
        found = judge(fp32, int8, images, **words)
        ratio = mixed if words["stages"] else whole
        times = (int(1e6 * ratio),) * 6, (1_000_000,) * 6
        return replace(found, fp32_ns=times[0], int8_ns=times[1], macs=10**9, vnni=True)

    monkeypatch.setattr(making, "judge", judged)
    monkeypatch.setattr(making, "judged_again", lambda verdict, *_: verdict)
    monkeypatch.setattr(making, "faster", lambda *_, **__: mixed / whole)


def test_all_in_int8_is_left_alone_where_it_gains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocked(monkeypatch, 1.1, 99.0)
    made = api.deploy(foreign(tmp_path), tmp_path / "int8.onnx")
    assert made.passed
    assert made.verdict is not None
    assert made.verdict.float_stages == ()
    assert made.inspection is not None
    assert made.inspection.float_ops == ()


def test_bf16_is_measured_or_said_not_to_be_where_int8_brings_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocked(monkeypatch, 0.94, 0.94)
    monkeypatch.setattr(making, "find_mix", lambda made, *_: Mix(made, ()))
    source = foreign(tmp_path)
    elsewhere = api.deploy(source, tmp_path / "a.onnx", environment=HERE)  # a CPU without bfloat16
    assert elsewhere.verdict is not None
    assert elsewhere.verdict.bf16 is not None
    assert "bf16 would be the better deal: this CPU has no bfloat16" in elsewhere.verdict.text
    assert "no bfloat16" in str(elsewhere.reason)
    if not (has_bfloat16(isa()) and importlib.util.find_spec("openvino")):
        pytest.skip("this machine has no bfloat16, or no OpenVINO")
    here = api.deploy(source, tmp_path / "b.onnx")
    assert here.verdict is not None
    found = here.verdict.bf16
    assert found is not None
    assert found.unmeasured == ""
    assert found.sqnr_db is not None
    assert 20 < found.sqnr_db < 60
    assert "deal: the fp32 file is" in here.verdict.text


def test_a_stage_stays_float_where_all_in_int8_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocked(monkeypatch, 0.94, 1.3)
    made = api.deploy(foreign(tmp_path), tmp_path / "int8.onnx")
    assert made.passed
    assert made.verdict is not None
    assert made.verdict.float_stages == ("stem to relu",)
    said = printed(made, width=600)
    assert "stem to relu stays in float, which is faster than all in int8 (0.94 times" in said
    card = load(tmp_path / "int8.onnx").card
    assert card is not None
    quantize, verdict = card.steps[-2:]
    assert quantize.options["float_stages"] == ["stem to relu"]
    assert "stem to relu stays in float" in verdict.options["text"]
    assert from_dict(Deployment, to_dict(made)) == made


def test_fp32_is_kept_where_nothing_gains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clocked(monkeypatch, 0.94, 0.95)
    path, out = foreign(tmp_path), tmp_path / "int8.onnx"
    made = api.deploy(path, out)
    assert made.kept_fp32
    assert not made.passed
    assert not out.exists()
    assert "keep fp32: int8 is 0.94 times as fast on this CPU (95 % interval 0.94 to" in printed(
        made, width=600
    )
    with pytest.raises(CheckFailed, match=r"keep fp32: int8 is 0\.94 times.*--keep-slow"):
        made.check()

    kept = api.deploy(path, out, keep_slow=True)
    assert kept.passed
    assert not kept.kept_fp32
    assert out.exists()


def test_the_clock_of_this_cpu_refuses_no_file_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocked(monkeypatch, 0.5, 0.6)
    out = tmp_path / "int8.onnx"
    made = api.deploy(foreign(tmp_path), out, target_isa=another_target())
    assert made.passed
    assert out.exists()
    assert "this CPU's clock does not decide" in printed(made, width=600)


def another_target() -> str:
    here = resolve_target(TargetIsa.AUTO, isa())
    return "x86-amx" if here is not TargetIsa.X86_AMX else "portable"


def test_what_was_refused_is_measured_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocked(monkeypatch, 0.94, 0.95)

    def later(verdict: Verdict, *_: Any) -> Verdict:
        return replace(verdict, fp32_ns=(2_000_000,) * 9, int8_ns=(1_000_000,) * 9)

    monkeypatch.setattr(making, "judged_again", later)
    made = api.deploy(foreign(tmp_path), tmp_path / "int8.onnx")
    assert made.passed
    assert made.verdict is not None
    assert made.verdict.float_stages == ()


def test_small_models_are_for_the_target_to_judge(tmp_path: Path) -> None:
    out = tmp_path / "int8.onnx"
    made = api.deploy(foreign(tmp_path), out)
    assert made.passed
    assert made.verdict is not None
    again = judged_again(made.verdict, tmp_path / "net.onnx", out, noise(1, 3, 16, 16, seed=0))
    assert len(again.int8_ns) == len(again.fp32_ns) > len(made.verdict.int8_ns)
    slow = replace(made.verdict, fp32_ns=(1,) * 6, int8_ns=(2,) * 6)
    assert slow.offered
    assert not replace(slow, macs=10**9).offered
