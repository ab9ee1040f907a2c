"""The paragraph says what was measured, and why where int8 does not pay."""

from dataclasses import replace

import pytest

from resnet_deploy.results import LayerSaturation, SaturationReport, Verdict, from_dict, to_dict

FASTER = Verdict(
    cpu="Some CPU",
    vnni=True,
    threads=2,
    fp32_ns=(23_000_000, 24_000_000, 23_500_000) * 4,
    int8_ns=(5_000_000, 5_200_000, 5_100_000) * 4,
    fp32_bytes=87_200_000,
    int8_bytes=22_000_000,
    macs=3_664_000_000,
    sqnr_db=31.27,
    agreement=0.992,
    samples=128,
)


def saturation(**layer: int) -> SaturationReport:
    layers = (LayerSaturation(name="conv1", weight_pairs=9, **layer),)
    return SaturationReport(model="m", data="d", images=8, layers=layers)


def test_a_file_that_pays() -> None:
    assert FASTER.worth_it
    assert FASTER.text.startswith(
        "worth it on this CPU (Some CPU): 5.00 ms instead of 23.00 ms, 4.61 times as fast"
    )
    assert "22.0 MB instead of 87.2 MB" in FASTER.text
    assert "the class of fp32 on 99.2% of 128 images" in FASTER.text
    assert "why" not in FASTER.text
    assert "helped to set" not in FASTER.text + FASTER.lasting


def test_images_that_set_the_ranges_are_named() -> None:
    seen = replace(FASTER, calibrated=True)
    assert "of 128 images. measured on images that helped to set its ranges." in seen.text
    assert "helped to set its ranges" in seen.lasting


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"vnni": False}, "no int8 dot product"),
        ({"float_layers": ("layer1.0.conv1",)}, "these layers run in float: layer1.0.conv1"),
        ({"float_layers": tuple("abcde")}, "a, b, c and 2 more"),
        ({"macs": 4_000_000}, "the model is small, 4 million"),
        ({}, "it moves memory more than it multiplies"),
        ({"slowest": (("stem", 0.31), ("head", 0.12))}, "most goes into stem 31%, head 12%"),
        ({"float_share": 0.41, "float_kinds": (("Gelu", 18),)}, "41% of its time goes into float"),
    ],
)
def test_a_file_that_does_not_pay_says_why(change: dict[str, object], reason: str) -> None:
    slow = replace(FASTER, int8_ns=FASTER.fp32_ns, **change)  # type: ignore[arg-type]
    assert not slow.worth_it
    assert slow.text.startswith("not worth it on this CPU")
    assert reason in slow.text


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (saturation(risky=0), "x86 CPUs without VNNI give the same answers."),
        (saturation(risky=3), "the same answers on all 8 images tried"),
        (saturation(risky=3, sums=9, overflows=1, outputs=9, touched=1), "overflow in conv1;"),
    ],
)
def test_other_cpus_are_spoken_of(report: SaturationReport, words: str) -> None:
    verdict = replace(FASTER, saturation=report)
    assert words in verdict.text
    assert words in verdict.lasting


def test_what_the_card_keeps_has_no_times() -> None:
    again = replace(FASTER, int8_ns=tuple(ns + 77_777 for ns in FASTER.int8_ns))
    assert again.text != FASTER.text
    assert again.lasting == FASTER.lasting
    small = replace(FASTER, macs=1_000_000)
    assert small.lasting == replace(small, int8_ns=FASTER.fp32_ns).lasting


def test_less_than_a_tenth_faster_is_not_offered() -> None:
    times = {ratio: (int(1e6 * ratio),) * 9 for ratio in (1.0, 1.09, 1.1, 1.4)}
    verdicts = {
        ratio: replace(FASTER, fp32_ns=ns, int8_ns=times[1.0]) for ratio, ns in times.items()
    }
    assert [ratio for ratio, verdict in verdicts.items() if verdict.offered] == [1.1, 1.4]
    assert verdicts[1.4].text.startswith("faster on this CPU")
    assert verdicts[1.4].lasting.startswith("faster where it was made, by less than 1.5")
    assert "keep fp32: int8 is 1.09 times as fast at best" in verdicts[1.09].keep_fp32
    assert all(replace(verdict, macs=1_000_000).offered for verdict in verdicts.values())


def test_a_gain_is_not_hidden_by_what_else_runs() -> None:
    """Rounds of a busy machine: some of int8 took as long as fp32, and the fastest did not."""
    busy = replace(
        FASTER,
        fp32_ns=(9_200_000, 12_000_000, 15_000_000) * 4,
        int8_ns=(12_000_000, 11_500_000, 2_500_000) * 4,
    )
    assert busy.ratio < 1.1 < busy.interval[1]
    assert busy.offered
    assert busy.worth_it
    assert "3.68 times as fast by the fastest runs, 1.04 by the median" in busy.text
    assert "why" not in busy.text
    assert busy.lasting == FASTER.lasting
    other_way = replace(FASTER, int8_ns=(*FASTER.int8_ns[1:], 500_000))
    assert other_way.worth_it


def test_a_file_for_other_cpus_is_not_judged_by_this_one() -> None:
    slow = replace(FASTER, int8_ns=tuple(2 * ns for ns in FASTER.fp32_ns))
    assert not slow.offered
    elsewhere = replace(slow, target="x86-avx2")
    assert elsewhere.offered
    assert elsewhere.text.startswith("slower than fp32 on this CPU")
    assert "made for x86-avx2: this CPU's clock does not decide" in elsewhere.text
    assert elsewhere.lasting.startswith("made for x86-avx2: measure there")
    assert replace(FASTER, target="x86-avx2").lasting == FASTER.lasting


def test_a_small_model_that_is_slower_says_so() -> None:
    small = replace(FASTER, macs=4_000_000, int8_ns=tuple(2 * ns for ns in FASTER.fp32_ns))
    assert small.offered
    assert small.text.startswith("slower than fp32 on this CPU")
    assert "on a CPU like this one keep fp32" in small.text


def test_it_survives_json() -> None:
    verdict = replace(FASTER, saturation=saturation(risky=3))
    assert from_dict(Verdict, to_dict(verdict)) == verdict
