from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from resnet_deploy.report.bench import notes, render, shape_of, verdict, warnings
from resnet_deploy.report.sweep import render_sweep, sentences
from rich.console import Console

from resnet_deploy.results import (
    BenchmarkResult,
    BenchSamples,
    BenchSubject,
    ColdStart,
    Environment,
    OutputDiff,
    Ratio,
)
from resnet_deploy.spec import BenchSpec

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


def text(width: int) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(render(RESULT, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_number_is_cut_off_at_any_width(width):
    shown = text(width)
    assert "…" not in shown
    for number in ("1234.57", "23.00", "5.000", "200.0", "123", "318 MB", "87.3 MB", "88%"):
        assert number in shown
    assert "4.50x" in shown
    assert "(4.34-4.66)" in shown
    assert "40.0 dB" in shown
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= width


def test_a_wide_console_gets_one_table_a_narrow_one_two():
    assert text(200).count("subject") == 1 + 1  # the second is in the notes
    assert text(80).count("subject") == 2 + 1


def test_verdicts():
    def say(one: Ratio) -> str:
        return verdict(replace(RESULT, ratios=(one,)))[0]

    assert say(ratio(4.5)) == (
        "ONNX Runtime int8 is 4.50x faster than PyTorch fp32 (99 % CI 4.34-4.66, minima 4.50x)"
    )
    assert say(ratio(0.5)) == (
        "ONNX Runtime int8 is 2.00x slower than PyTorch fp32 (99 % CI 1.93-2.07, minima 2.00x)"
    )
    assert say(ratio(1.0)).startswith("no difference can be told between ONNX Runtime int8 and")
    assert "3 rounds are too few to tell" in say(ratio(4.5, rounds=3))


def test_notes_say_how_to_repeat_it_and_what_is_missing():
    said = "\n".join(notes(RESULT))
    assert "skipped PyTorch x: Erf node 'gelu'" in said
    assert "10 rounds of 10 runs each" in said
    assert "warm-up runs: 12, 12, 12" in said
    assert "repeat: resnet-deploy bench fp32.onnx" in said
    assert "ended by the time limit of 20 s; the widest interval is +-3.5%, not the +-2.0%" in said
    assert "for the luck of a single one" not in said


def test_notes_say_why_it_ended():
    def said(**changed: Any) -> str:
        return "\n".join(notes(replace(RESULT, **changed)))

    assert "ended after all 10 rounds" in said(spec=BenchSpec(rounds=10))
    assert "ended when all intervals were within +-4.0%" in said(spec=BenchSpec(precision=0.04))
    few = replace(ratio(4.5), processes=())
    assert "the intervals hold 3% for the luck of a single one" in said(ratios=(few,))


def test_notes_tell_pins_options_and_cold_starts():
    cold = ColdStart(startup_ns=200_000_000, load_ns=7_000_000, first_run_ns=9_000_000)
    one = replace(
        RESULT.subjects[0],
        subject=replace(
            RESULT.subjects[0].subject, cpus=(0, 2), session_options=(("session.x", "1"),)
        ),
        cold_starts=(cold,) * 3,
    )
    result = replace(RESULT, subjects=(one,), spec=BenchSpec(pin=True, cold_starts=3))
    said = "\n".join(notes(result))
    assert "pinned to CPUs 0 2" in said
    assert "session options: session.x=1" in said
    assert "medians of 3 cold starts" in said
    console = Console(width=200, file=io.StringIO())
    console.print(render(result, 200))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "start ms" in shown
    assert "9.000" in shown


def test_throughput_is_named_with_its_instances():
    one = replace(
        RESULT.subjects[0],
        subject=replace(RESULT.subjects[0].subject, instances=3),
        images_per_slice=(100.0, 120.0, 110.0),
    )
    result = replace(RESULT, subjects=(one,), spec=BenchSpec(throughput=True, instances=3))
    assert shape_of(result) == "batch size 1, throughput of 3 instances x 2 threads"
    assert one.images_per_second == 110.0
    assert "10 rounds of 0.3 s each" in "\n".join(notes(result))


def test_a_sweep_is_one_table_with_the_best_of_each_subject():
    def at(batch_size: int, ns: int) -> BenchmarkResult:
        one = samples(LABELS[1], ns)
        one = replace(one, subject=replace(one.subject, batch_size=batch_size))
        return replace(RESULT, subjects=(one,), ratios=(), spec=BenchSpec(batch_size=batch_size))

    results = [at(1, 10_000_000), at(4, 20_000_000)]
    assert sentences(results) == [
        "ONNX Runtime fp32: most images per second (200.0) at batch size 4, 2 threads"
    ]
    console = Console(width=100, file=io.StringIO())
    console.print(render_sweep([*results, replace(RESULT, subjects=RESULT.subjects[:1])]))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "100.0, 10.00" in shown
    assert "skipped" in shown


def test_a_busy_machine_is_told():
    assert warnings(RESULT) == []
    busy = replace(RESULT.subjects[2], rounds_ns=((5_000_000, 15_000_000, 16_000_000),) * 10)
    said = warnings(replace(RESULT, subjects=(*RESULT.subjects[:2], busy)))
    assert said[0].startswith("the machine was busy: half the runs of ONNX Runtime int8 took")
    assert "3.0x" in said[0]
