from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from resnet_deploy.report import csv, view
from resnet_deploy.report.document import Notes
from resnet_deploy.results import (
    BenchmarkResult,
    BenchmarkSweep,
    BenchSamples,
    BenchSubject,
    ColdStart,
    Environment,
    OutputDiff,
    Ratio,
)
from resnet_deploy.spec import BenchSpec
from tests.support.terminal import printed

LABELS = ("PyTorch fp32", "ONNX Runtime fp32", "ONNX Runtime int8")


def samples(label: str, ns: int) -> BenchSamples:
    diff = OutputDiff(
        name="logits",
        samples=8,
        max_abs=1.0,
        max_reference=100.0,
        signal_power=1e4,
        noise_power=1.0,
        dot=1e4,
        candidate_power=1e4,
    )
    return BenchSamples(
        subject=BenchSubject(
            label=label,
            runner=label.split(maxsplit=1)[0].lower().replace("py", ""),
            model=f"{label[-4:]}.onnx",
            precision=label[-4:],
            input_shape=(3, 224, 224),
            input_dtype="float32",
            batch_size=1,
            threads=2,
        ),
        rounds_ns=((ns,) * 10,) * 10,
        warmup_runs=12,
        load_ns=123_000_000,
        first_run_ns=50_000_000,
        peak_rss_bytes=318_000_000,
        file_bytes=87_300_000,
        logits=None if label == LABELS[0] else diff,
        top1_equal=() if label == LABELS[0] else (True,) * 7 + (False,),
    )


def ratio(value: float, *, spread: float = 0.1, rounds: int = 10) -> Ratio:
    values = tuple(value * (1 + spread * (i / (rounds - 1) - 0.5)) for i in range(rounds))
    processes = (1,) * rounds if rounds >= 4 else ()
    return Ratio(
        subject=LABELS[2],
        reference=LABELS[0],
        rounds=values,
        minima=value,
        processes=processes,
    )


RESULT = BenchmarkResult(
    spec=BenchSpec(),
    environment=Environment(
        command="resnet-deploy bench fp32.onnx",
        cpu="a CPU",
        isa=("avx2", "avx512_vnni"),
        cores=2,
        os="Linux 6",
        python="3.11.7",
        versions={"onnxruntime": "1.31.1"},
    ),
    subjects=tuple(
        samples(label, ns)
        for label, ns in zip(LABELS, (1_234_567_890, 23_000_000, 5_000_000), strict=True)
    ),
    ratios=(ratio(4.5),),
    skipped={"PyTorch x": "Erf node 'gelu' has no counterpart"},
)


def method(result: BenchmarkResult) -> str:
    return "\n".join(view(result).method)


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_no_number_is_cut_off_at_any_width(width):
    shown = printed(RESULT, width)
    assert "…" not in shown
    for number in ("1234.57", "23.00", "5.000", "200.0", "123", "318 MB", "87.3 MB", "88%"):
        assert number in shown
    assert "4.50x" in shown
    assert "(4.34-4.66)" in shown
    assert "40.0 dB" in shown
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= width


def test_a_narrow_console_gets_more_tables():
    def tables(width: int) -> int:
        return sum(line.split()[:1] == ["subject"] for line in printed(RESULT, width).splitlines())

    assert (tables(80), tables(60)) == (2, 4)


def test_verdicts():
    def say(ratio: Ratio) -> str:
        verdict = view(replace(RESULT, ratios=(ratio,))).verdict
        assert verdict is not None
        return verdict.sentences[0]

    assert say(ratio(4.5)) == (
        "ONNX Runtime int8 is 4.50x faster than PyTorch fp32 (99 % CI 4.34-4.66, minima 4.50x)"
    )
    assert say(ratio(0.5)) == (
        "ONNX Runtime int8 is 2.00x slower than PyTorch fp32 (99 % CI 1.93-2.07, minima 2.00x)"
    )
    assert say(ratio(1.0)).startswith("no difference can be told between ONNX Runtime int8 and")
    assert "3 rounds are too few to tell" in say(ratio(4.5, rounds=3))


def test_notes_say_how_to_repeat_it_and_what_is_missing():
    said = method(RESULT)
    assert "skipped PyTorch x: Erf node 'gelu'" in said
    assert "10 rounds of 10 runs each" in said
    assert "warm-up runs: 12, 12, 12" in said
    assert "repeat: resnet-deploy bench fp32.onnx" in printed(RESULT)
    assert "ended by the time limit of 20 s; the widest interval is +-3.5%, not the +-2.0%" in said
    assert "for the luck of a single one" not in said


def test_notes_say_why_it_ended():
    def said(**changed: Any) -> str:
        return method(replace(RESULT, **changed))

    assert "ended after all 10 rounds" in said(spec=BenchSpec(rounds=10))
    assert "ended when all intervals were within +-4.0%" in said(spec=BenchSpec(precision=0.04))
    few = replace(ratio(4.5), processes=())
    assert "the intervals hold 3% for the luck of a single one" in said(ratios=(few,))


def test_notes_tell_pins_options_and_cold_starts():
    cold = ColdStart(startup_ns=200_000_000, load_ns=7_000_000, first_run_ns=9_000_000)
    measured = replace(
        RESULT.subjects[0],
        subject=replace(
            RESULT.subjects[0].subject, cpus=(0, 2), session_options=(("session.x", "1"),)
        ),
        cold_starts=(cold,) * 3,
    )
    result = replace(RESULT, subjects=(measured,), spec=BenchSpec(pin=True, cold_starts=3))
    said = method(result)
    assert "pinned to CPUs 0 2" in said
    assert "session options: session.x=1" in said
    assert "medians of 3 cold starts" in said
    shown = printed(result)
    assert "start ms" in shown
    assert "9.000" in shown


def test_throughput_is_named_with_its_instances():
    measured = replace(
        RESULT.subjects[0],
        subject=replace(RESULT.subjects[0].subject, instances=3),
        images_per_slice=(100.0, 120.0, 110.0),
    )
    result = replace(RESULT, subjects=(measured,), spec=BenchSpec(throughput=True, instances=3))
    assert "batch size 1, throughput of 3 instances x 2 threads" in printed(result)
    assert measured.images_per_second == 110.0
    assert "10 rounds of 0.3 s each" in method(result)


def test_a_sweep_is_one_table_with_the_best_of_each_subject():
    def at(batch_size: int, ns: int) -> BenchmarkResult:
        measured = samples(LABELS[1], ns)
        measured = replace(measured, subject=replace(measured.subject, batch_size=batch_size))
        return replace(
            RESULT, subjects=(measured,), ratios=(), spec=BenchSpec(batch_size=batch_size)
        )

    results = [at(1, 10_000_000), at(4, 20_000_000)]
    shown = printed(
        BenchmarkSweep(results=(*results, replace(RESULT, subjects=RESULT.subjects[:1])))
    )
    best = "ONNX Runtime fp32: most images per second (200.0) at batch size 4, 2 threads"
    assert best in shown
    assert "Latency" not in shown
    assert "100.0, 10.00" in shown
    assert "skipped" in shown


def test_a_busy_machine_is_told():
    assert "busy" not in printed(RESULT)
    busy = replace(RESULT.subjects[2], rounds_ns=((5_000_000, 15_000_000, 16_000_000),) * 10)
    latency = view(replace(RESULT, subjects=(*RESULT.subjects[:2], busy))).sections[0]
    (caution,) = (block for block in latency.blocks if isinstance(block, Notes))
    assert caution.tone == "caution"
    assert caution.lines[0].startswith("the machine was busy: half the runs of ONNX Runtime int8")
    assert "3.0x" in caution.lines[0]
    even = view(replace(RESULT, subjects=(*RESULT.subjects[:2], busy), ratios=(ratio(1.0),)))
    assert even.verdict is not None
    assert even.verdict.sentences[0].startswith(
        "can't tell on this busy machine which of ONNX Runtime int8 and PyTorch fp32 is faster (99 "
    )


@pytest.mark.parametrize(
    ("minima", "kind", "words"),
    [
        (3.0, "good", "int8 is faster than PyTorch fp32; can't tell on this busy machine how many"),
        (0.9, "plain", "can't tell on this busy machine which of ONNX Runtime int8 and PyTorch"),
        (50.0, "good", "x faster than PyTorch fp32 (99 % CI"),
    ],
)
def test_a_ratio_that_the_fastest_runs_contradict_is_not_told_on_a_busy_machine(
    minima, kind, words
):
    busy = replace(RESULT.subjects[0], rounds_ns=((1_000_000, 50_000_000, 60_000_000),) * 10)
    found = replace(ratio(50.0), minima=minima)
    verdict = view(replace(RESULT, subjects=(busy, *RESULT.subjects[1:]), ratios=(found,))).verdict
    assert verdict is not None
    assert verdict.status == kind
    assert words in verdict.sentences[0]


def test_parity_says_on_what_and_what_the_card_says_of_other_images():
    told = replace(
        RESULT.subjects[2],
        parity_images="8 synthetic images",
        card_sqnr_db=29.6,
        card_images=128,
    )
    assert (
        "parity: on 8 synthetic images; the card of int8.onnx tells 29.6 dB on the 128 images that "
        "it was compared on when it was made"
    ) in method(replace(RESULT, subjects=(*RESULT.subjects[:2], told)))
    assert "parity: on" not in method(RESULT)  # a record of an earlier version


def test_a_file_gets_the_numbers_as_they_were_measured():
    odd = replace(RESULT.subjects[1], rounds_ns=((23_456_789,) * 10,) * 10)
    table = csv(replace(RESULT, subjects=(RESULT.subjects[0], odd, RESULT.subjects[2])))
    assert "ONNX Runtime fp32,23.456789,23.456789" in table


def test_parity_without_classes_and_without_anything_to_compare():
    shapes = replace(RESULT.subjects[1], logits=None, top1_equal=())
    features = replace(RESULT.subjects[2], top1_equal=())
    shown = printed(replace(RESULT, subjects=(RESULT.subjects[0], shapes, features)))
    assert "not comparable" in shown
    assert "40.0 dB" in shown
    assert "top-1" not in shown
