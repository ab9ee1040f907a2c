"""The paragraph says what was measured, by which rule it counts, and why where it does not pay.

Long because every sentence of it is read once.
"""

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.results import LayerSaturation, SaturationReport, Verdict, from_dict, to_dict
from resnet_deploy.results.worth import (
    FEWEST_PICTURES,
    LEAST_AGREEMENT,
    LEAST_GAIN,
    Worth,
    share_interval,
)

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
    assert FASTER.text == (
        "worth it on this CPU (Some CPU): 4.61 times as fast (5.100 ms instead of 23.50 ms in the "
        "middle one of 12 paired rounds, 95 % interval 4.60 to 4.62, threshold 1.10; batch 1, "
        "2 threads), a quarter of the size (22.0 MB instead of 87.2 MB), the same class on 127 of "
        "128 pictures (95 % interval 95.7% to 99.98%, threshold 90%). it cost: outputs 31.3 dB "
        "above the noise."
    )
    assert "helped to set" not in FASTER.text + FASTER.lasting


def test_images_that_set_the_ranges_are_named() -> None:
    seen = replace(FASTER, calibrated=True)
    assert "above the noise. measured on images that helped to set its ranges." in seen.text
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


@pytest.mark.parametrize(
    "times", [FASTER.fp32_ns, (1,) * 12, (9_200_000, 12_000_000, 5_000_000) * 4]
)
def test_the_card_says_nothing_that_a_clock_told(times: tuple[int, ...]) -> None:
    """The same input gives the same bytes, and no file is at odds with a later measurement."""
    again = replace(FASTER, int8_ns=times)
    assert again.text != FASTER.text
    assert again.lasting == FASTER.lasting
    assert FASTER.lasting.startswith("measure on the target whether int8 is faster there. the same")
    assert "worth" not in FASTER.lasting


def test_less_than_a_tenth_faster_is_not_offered() -> None:
    verdicts = {
        ratio: replace(FASTER, fp32_ns=(int(1e6 * ratio),) * 9, int8_ns=(1_000_000,) * 9)
        for ratio in (0.97, 1.0, 1.0999, 1.1, 1.4, 1.74)
    }
    for ratio, verdict in verdicts.items():
        assert verdict.offered is verdict.worth_it is (ratio >= 1.1)
        assert verdict.text.startswith("worth it" if ratio >= 1.1 else "not worth it")
    assert "1.40 times" in verdicts[1.4].text
    assert "threshold 1.10" in verdicts[1.4].text
    assert "why not more: it moves memory" in verdicts[1.4].text
    assert verdicts[1.0999].keep_fp32.startswith(
        "keep fp32: int8 is 1.0999 times as fast on this CPU (95 % interval 1.0999 to 1.0999, "
        "threshold 1.10): it moves memory"
    )
    assert all(replace(verdict, macs=1_000_000).offered for verdict in verdicts.values())


BUSY = replace(
    FASTER,
    fp32_ns=(9_200_000, 12_000_000, 15_000_000) * 4,
    int8_ns=(12_000_000, 11_500_000, 2_500_000) * 4,
)


def test_a_busy_machine_is_the_verdict() -> None:
    """Rounds of a busy machine: some of int8 took as long as fp32, and the fastest did not."""
    assert BUSY.worth is Worth.UNCLEAR
    assert BUSY.offered  # a gain must not be hidden by what else runs
    assert BUSY.text.startswith(
        "can't tell on this busy machine whether int8 is worth it (Some CPU): 1.04 times as fast "
        "(11.50 ms instead of 12.00 ms in the middle one of 12 paired rounds, 95 % interval 0.77 "
        "to 6.00, threshold 1.10;"
    )
    assert "by the fastest run of each file it is 3.68 times as fast: run it again" in BUSY.text
    slower = replace(BUSY, int8_ns=tuple(4 * ns for ns in BUSY.int8_ns))
    assert slower.worth is Worth.UNCLEAR
    assert not slower.offered
    assert slower.keep_fp32.startswith("keep fp32: nothing shows here that int8 is faster: 0.26")
    one_lucky = replace(FASTER, int8_ns=(*FASTER.int8_ns[1:], 500_000))
    assert one_lucky.worth_it


def test_what_is_next_to_the_threshold_on_a_calm_machine_is_too_close() -> None:
    ratios = range(1_060_000, 1_140_000, 7_000)
    close = replace(FASTER, fp32_ns=tuple(ratios), int8_ns=(1_000_000,) * len(ratios))
    assert close.text.startswith("can't tell whether int8 is worth it (Some CPU): 1.09 times")
    assert "the interval holds the threshold: it is too close to tell" in close.text


@pytest.mark.parametrize(
    ("change", "said", "advice"),
    [
        (
            {"agreement": 0.6, "samples": 5},
            "the same class on 3 of 5 pictures (95 % interval 14.7% to 94.7%, threshold 90%)",
            "give 36 or more pictures",
        ),
        (
            {"agreement": 1.0, "samples": 35},
            "the same class on 35 of 35 pictures (95 % interval 89.997% to 100.0%, threshold 90%)",
            "give 36 or more pictures",
        ),
        (
            {"agreement": 119 / 128},
            "the same class on 119 of 128 pictures (95 % interval 87.1% to 96.7%, threshold 90%)",
            "give more pictures",
        ),
        (
            {"agreement": 1.0, "samples": 5, "untold": "they are synthetic"},
            "the same class on 5 of 5 images, which tells nothing: they are synthetic",
            "give 36 or more pictures",
        ),
        ({"sqnr_db": None}, "its answers were not compared with those of fp32", "give"),
        ({"agreement": None}, "no class could be compared on the 128 images", "give"),
    ],
)
def test_too_few_pictures_are_a_verdict(change: dict[str, object], said: str, advice: str) -> None:
    few = replace(FASTER, **change)  # type: ignore[arg-type]
    assert few.worth is Worth.TOO_FEW
    assert few.offered
    assert few.text.startswith("too few pictures to tell whether int8 is worth it on this CPU")
    assert said in few.text
    assert said in few.lasting
    assert advice in few.text


def test_no_picture_helps_an_untrained_net() -> None:
    untrained = replace(FASTER, untold="its weights are random")
    assert untrained.worth is Worth.TOO_FEW
    assert "--calibration" not in untrained.text


def test_another_class_too_often_is_not_worth_it() -> None:
    wrong = replace(FASTER, agreement=0.7)
    assert wrong.worth is Worth.NOT_WORTH_IT
    assert "the same class on 90 of 128 pictures (95 % interval 61.6% to 78.1%" in wrong.text
    assert "why: it gives another class too often" in wrong.text


@pytest.mark.parametrize("answer", ["", "label", "nearest image"])
def test_where_there_is_no_class_speed_alone_decides(answer: str) -> None:
    assert replace(FASTER, answer=answer, agreement=0.5).worth_it


def test_the_fewest_pictures_are_the_fewest() -> None:
    low, high = share_interval(FEWEST_PICTURES, FEWEST_PICTURES)
    assert low >= LEAST_AGREEMENT
    assert high == 1
    assert share_interval(FEWEST_PICTURES - 1, FEWEST_PICTURES - 1)[0] < LEAST_AGREEMENT
    # Tables of Clopper and Pearson's intervals.
    assert share_interval(3, 5) == pytest.approx((0.14663, 0.94726), abs=1e-5)
    assert share_interval(0, 10) == pytest.approx((0, 0.30850), abs=1e-5)


@st.composite
def verdicts(draw: st.DrawFn) -> Verdict:
    rounds = draw(st.integers(1, 40))
    times = st.lists(st.integers(50_000, 10**9), min_size=rounds, max_size=rounds).map(tuple)
    samples = draw(st.integers(1, 200))
    return replace(
        FASTER,
        fp32_ns=draw(times),
        int8_ns=draw(times),
        int8_bytes=draw(st.integers(1, 10**9)),
        samples=samples,
        agreement=draw(st.integers(0, samples)) / samples,
        untold=draw(st.sampled_from([None, None, "they are synthetic"])),
    )


@given(verdicts(), st.data())
def test_nothing_better_is_ever_judged_worse(found: Verdict, data: st.DataObject) -> None:
    faster = tuple(data.draw(st.integers(1, ns)) for ns in found.int8_ns)
    for better in (
        replace(found, int8_ns=faster),
        replace(found, fp32_ns=tuple(data.draw(st.integers(ns, 10**10)) for ns in found.fp32_ns)),
        replace(found, int8_bytes=data.draw(st.integers(1, found.int8_bytes))),
        replace(
            found, agreement=data.draw(st.integers(found.equal, found.samples)) / found.samples
        ),
        replace(
            found, agreement=(found.equal + 1) / (found.samples + 1), samples=found.samples + 1
        ),
    ):
        assert better.worth.rank >= found.worth.rank
        assert better.offered >= found.offered


@given(verdicts())
def test_the_words_and_the_figures_agree(found: Verdict) -> None:
    said = re.match(
        r"(.+?) \(Some CPU\): ([\d.]+) times as fast \(([\d.]+) ms instead of ([\d.]+) ms in the "
        r"middle one of (\d+) paired rounds, 95 % interval ([\d.]+) to ([\d.]+|any), threshold "
        r"1\.10;.*the same class on (\d+) of (\d+) (pictures|images)",
        found.text,
    )
    assert said is not None
    start, *_ = said.groups()
    ratio, int8, fp32, rounds, low = (float(said[number]) for number in range(2, 7))
    high = math.inf if said[7] == "any" else float(said[7])
    assert abs(fp32 / int8 - ratio) <= 0.0051 + 2e-3 * ratio  # what rounding takes
    assert low <= ratio <= high
    assert (rounds, int(said[8]), int(said[9])) == (
        len(found.fp32_ns),
        found.equal,
        found.samples,
    )
    size = re.search(
        r"threads\), (.+?) of the size \(([\d.]+) MB instead of ([\d.]+) MB", found.text
    )
    assert size is not None
    fractions = {"half": 0.5, "a third": 1 / 3, "a quarter": 0.25}
    part = fractions.get(size[1]) or float(size[1].rstrip("%")) / 100
    assert abs(float(size[2]) / float(size[3]) - part) <= 0.031 + 0.01 * part
    starts = {
        Worth.WORTH_IT: "worth it",
        Worth.NOT_WORTH_IT: "not worth it",
        Worth.TOO_FEW: "too few pictures",
        Worth.UNCLEAR: "can't tell",
    }
    assert start.startswith(starts[found.worth])
    shares = re.search(r"pictures \(95 % interval ([\d.]+)% to ([\d.]+)%", found.text)
    least, most = (0.0, 1.0) if shares is None else (float(end) / 100 for end in shares.groups())
    # What is printed leads a reader with the rule to the same word.
    if high < LEAST_GAIN or most < LEAST_AGREEMENT:
        assert found.worth is Worth.NOT_WORTH_IT
    elif low < LEAST_GAIN:
        assert found.worth is Worth.UNCLEAR
    else:
        assert found.worth is (Worth.WORTH_IT if least >= LEAST_AGREEMENT else Worth.TOO_FEW)


def test_a_file_for_other_cpus_is_not_judged_by_this_one() -> None:
    slow = replace(FASTER, int8_ns=tuple(2 * ns for ns in FASTER.fp32_ns))
    assert not slow.offered
    elsewhere = replace(slow, target="x86-avx2")
    assert elsewhere.offered
    assert elsewhere.text.startswith("not worth it on this CPU (Some CPU): 0.50 times as fast")
    assert "made for x86-avx2: this CPU's clock does not decide" in elsewhere.text
    assert elsewhere.lasting.startswith("made for x86-avx2: measure on the target whether")


def test_a_small_model_that_is_slower_says_so() -> None:
    small = replace(FASTER, macs=4_000_000, int8_ns=tuple(2 * ns for ns in FASTER.fp32_ns))
    assert small.offered
    assert small.text.startswith("not worth it on this CPU (Some CPU): 0.50 times as fast")
    assert "on a CPU like this one keep fp32" in small.text


def test_it_survives_json() -> None:
    verdict = replace(FASTER, saturation=saturation(risky=3))
    assert from_dict(Verdict, to_dict(verdict)) == verdict
