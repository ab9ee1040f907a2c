"""Says whether an int8 file is worth it: how much faster, how close, and where else it works."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.model_file import bytes_of
from resnet_deploy.errors import ResnetDeployError
from resnet_deploy.fp32_baseline import quiet_session
from resnet_deploy.measure.operator_times import profile_operators
from resnet_deploy.measure.stopwatch import Stopwatch, take_turns
from resnet_deploy.quantization.count_saturation import count_saturation
from resnet_deploy.quantization.stages import Stage
from resnet_deploy.results import Environment, Inspection, ParityReport, Verdict
from resnet_deploy.results.benchmark import OperatorKind, OperatorTime
from resnet_deploy.results.bf16_figures import Bf16Figures
from resnet_deploy.results.int8_figures import DECIDED, MUCH_FASTER, SMALL_MACS
from resnet_deploy.results.interval import median_interval
from resnet_deploy.results.worth import LEAST_GAIN
from resnet_deploy.runners.base import Runner, infer_every
from resnet_deploy.runners.cpu import default_threads, has_bfloat16, has_float16, has_vnni
from resnet_deploy.runners.likeness import Expected
from resnet_deploy.runners.openvino_runner import NO_BFLOAT16, OpenVinoBfloat16Runner
from resnet_deploy.runners.registry import open_runner
from resnet_deploy.spec import Runtime, SessionSpec

_FEWEST_ROUNDS = 7
"""The fewest with a middle one and an interval: clear only where int8 gains in each, or in none."""

_ROUNDS = 11
_TIMED_SECONDS = 0.6
_MOST_RUNS = 50
_MOST_TURNS = 3
"""How often these rounds follow while the interval holds the ratio that decides."""

_PROFILED_SECONDS = 0.3
_SLOWEST = 3


def judge(
    fp32: Path,
    int8: Path,
    batches: Iterable[Array],
    *,
    data: str,
    macs: int,
    inspection: Inspection,
    parity: ParityReport | None,
    environment: Environment,
    threads: int = 0,
    stages: Sequence[Stage] = (),
    all_int8_ratio: float | None = None,
    target: str | None = None,
    untold: str | None = None,
    runtime: Runtime = Runtime.ORT,
) -> Verdict:
    """Return what the file ``int8`` brings and costs against ``fp32``.

    ``int8`` is a QDQ file made from ``fp32``. Overflows are counted on ``batches``, a few
    preprocessed images of ``data``, ``(N, 3, H, W)``. ``macs`` are multiply-accumulates per image,
    ``inspection`` tells what ONNX Runtime runs of ``int8``, ``parity`` how close it is if that was
    asked for, and ``untold`` why the answers that it compared tell nothing. ``stages`` are what of
    the net stays float because it is faster so, where all in int8 is ``all_int8_ratio`` times as
    fast as fp32; ``target`` is what CPUs it is for, if not this one. Both files are timed on
    ``runtime``.

    Raises:
        RunnerError: ONNX Runtime can't run one of the files.
    """
    images = tuple(batches)
    threads = threads or default_threads()
    with _watched(fp32, int8, images[0], threads, runtime) as (watches, batch):
        # Nothing depends on how a small net, or a file for other CPUs, does here.
        decides = macs >= SMALL_MACS and target is None
        fp32_ns, int8_ns = _decided(watches) if decides else _turns(watches)
    last = None if parity is None else parity.cases[-1]
    verdict = Verdict(
        cpu=environment.cpu,
        vnni=has_vnni(environment.isa),
        threads=threads,
        fp32_ns=fp32_ns,
        int8_ns=int8_ns,
        fp32_bytes=bytes_of(fp32),
        int8_bytes=int8.stat().st_size,
        macs=macs,
        sqnr_db=None if last is None else last.worst.sqnr_db,
        agreement=None if last is None else last.agreement,
        answer="class" if last is None or last.answer == "top-1" else last.answer,
        mean_cosine=None if last is None else last.mean_cosine,
        least_cosine=None if last is None else last.least_cosine,
        samples=0 if last is None else last.samples,
        calibrated=parity is not None and parity.calibrated,
        untold=untold,
        float_layers=tuple(dict.fromkeys(operator.layer for operator in inspection.float_ops)),
        float_stages=tuple(map(str, stages)),
        all_int8_ratio=all_int8_ratio,
        float_kinds=_float_kinds(inspection),
        target=target,
        runtime=runtime.value,
        saturation=count_saturation(
            int8, images, data=data, images=sum(map(len, images)), threads=threads
        ),
    )
    little = verdict.ratio < MUCH_FASTER and macs >= SMALL_MACS
    if runtime is not Runtime.ORT or not (little or inspection.float_ops):
        return verdict
    session = SessionSpec(threads=threads)
    operators = profile_operators(int8, batch, session, _PROFILED_SECONDS)
    return replace(
        verdict,
        float_share=_float_share(operators) if inspection.float_ops else None,
        slowest=_slowest(operators) if little else (),
    )


def judged_again(verdict: Verdict, fp32: Path, int8: Path, images: Array) -> Verdict:
    """Return ``verdict`` with more rounds of the same files, on ``images``."""
    runtime = Runtime(verdict.runtime)
    with _watched(fp32, int8, images, verdict.threads, runtime) as (watches, _):
        fp32_ns, int8_ns = _decided(watches)
    return replace(verdict, fp32_ns=verdict.fp32_ns + fp32_ns, int8_ns=verdict.int8_ns + int8_ns)


def judge_bf16(
    fp32: Artifact,
    images: Array,
    expected: Sequence[Array],
    *,
    data: str,
    environment: Environment,
    threads: int = 0,
    runtime: Runtime = Runtime.ORT,
) -> Bf16Figures:
    """Return what ``fp32`` brings and costs in bfloat16 on OpenVINO.

    Where it can't be measured, the result says why.

    Args:
        fp32: the float file.
        images: of ``data``, as the file takes them.
        expected: every output of the reference for them.
        data: what the images are called.
        environment: whose CPU decides.
        threads: of both runtimes; 0 means the physical cores allowed here.
        runtime: where fp32 is timed beside it: where int8 was.
    """
    if has_float16(environment.isa):
        return Bf16Figures(unmeasured="this CPU computes in float16; tune tries an fp16 file")
    if not has_bfloat16(environment.isa):
        return Bf16Figures(unmeasured=NO_BFLOAT16)
    session = quiet_session(threads or default_threads())
    try:
        with (
            closing(open_runner(runtime.value, fp32.plain, session)) as ours,
            closing(OpenVinoBfloat16Runner(fp32.plain, session)) as theirs,
        ):
            with _stopped(ours, theirs, images) as (watches, _):
                fp32_ns, bf16_ns = _decided(watches)
            size = theirs.input.shape[0] or len(images)
            starts = range(0, len(images), size)
            pieces = [infer_every(theirs, images[start : start + size]) for start in starts]
            got = tuple(np.concatenate(parts) for parts in zip(*pieces, strict=True))
            found = Expected(fp32, expected, data).likeness(got, range(len(images)))
    except ResnetDeployError as error:
        return Bf16Figures(unmeasured=str(error))
    same = found.top1_equal or (found.answers_equal if found.answer in DECIDED else ())
    return Bf16Figures(
        fp32_ns=fp32_ns,
        bf16_ns=bf16_ns,
        sqnr_db=min(output.sqnr_db for output in found.outputs),
        agreement=sum(same) / len(same) if same else None,
        samples=len(images),
    )


def faster(first: Path, second: Path, images: Array, *, threads: int) -> float:
    """Return how many times as fast as ``first`` the file ``second`` is at least, at batch size 1.

    That is the smaller of what the median over the rounds and the fastest runs say.
    """
    with _watched(first, second, images, threads) as (watches, _):
        first_ns, second_ns = _turns(watches)
    median = statistics.median(_ratios(first_ns, second_ns))
    return min(median, min(first_ns) / min(second_ns))


@contextmanager
def _watched(
    first: Path, second: Path, images: Array, threads: int, runtime: Runtime = Runtime.ORT
) -> Iterator[tuple[tuple[Stopwatch, Stopwatch], Array]]:
    """Open both files on ``runtime``.

    The first of ``images`` are their input, which comes with them.
    """
    session = quiet_session(threads or default_threads())
    name = runtime.value
    with (
        closing(open_runner(name, first, session)) as one,
        closing(open_runner(name, second, session)) as other,
        _stopped(one, other, images) as watched,
    ):
        yield watched


@contextmanager
def _stopped(
    one: Runner, other: Runner, images: Array
) -> Iterator[tuple[tuple[Stopwatch, Stopwatch], Array]]:
    """Put a stopwatch on each runner, on the first of ``images``, which come with them."""
    size = one.input.shape[0] or 1
    batch = np.resize(images, (size, *images.shape[1:]))
    yield (Stopwatch(one, batch, size), Stopwatch(other, batch, size)), batch


def _decided(
    watches: tuple[Stopwatch, Stopwatch],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the times of fp32 and int8, of more rounds where it is close whether int8 gains."""
    fp32_ns: tuple[int, ...] = ()
    int8_ns: tuple[int, ...] = ()
    for rounds in (_FEWEST_ROUNDS, *[_ROUNDS] * _MOST_TURNS):
        first, second = _turns(watches, rounds)
        fp32_ns, int8_ns = fp32_ns + first, int8_ns + second
        low, high = median_interval(_ratios(fp32_ns, int8_ns))
        if low >= LEAST_GAIN or high < LEAST_GAIN:
            break
    return fp32_ns, int8_ns


def _turns(
    watches: tuple[Stopwatch, Stopwatch], rounds: int = _ROUNDS
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    seconds = _TIMED_SECONDS * rounds / _ROUNDS
    first, second = take_turns(watches, rounds=rounds, seconds=seconds, most_runs=_MOST_RUNS)
    return first, second


def _ratios(first_ns: tuple[int, ...], second_ns: tuple[int, ...]) -> tuple[float, ...]:
    return tuple(a / b for a, b in zip(first_ns, second_ns, strict=True))


def _float_share(operators: Sequence[OperatorTime]) -> float:
    """Return the part of the time that goes into float operators and conversions."""
    by_kind: Counter[OperatorKind] = Counter()
    for operator in operators:
        by_kind[operator.kind] += min(operator.runs_ns)
    return 1 - by_kind[OperatorKind.INT8] / by_kind.total()


def _slowest(operators: Sequence[OperatorTime]) -> tuple[tuple[str, float], ...]:
    """Return the layers that take most of the time, and their parts of it."""
    by_layer: Counter[str] = Counter()
    for operator in operators:
        by_layer[operator.module] += min(operator.runs_ns)
    whole = by_layer.total()
    return tuple((layer, taken / whole) for layer, taken in by_layer.most_common(_SLOWEST))


def _float_kinds(inspection: Inspection) -> tuple[tuple[str, int], ...]:
    """Return the operators that are float in every int8 net, and how many they are."""
    kinds = Counter(
        operator.op_type
        for operator in inspection.float_ops
        if operator.intended
        and not operator.requested
        and operator.op_type not in ("QuantizeLinear", "DequantizeLinear", "Transpose")
    )
    return tuple(sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0])))
