"""Says whether an int8 file is worth it: how much faster, how close, and where else it works."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.measure.stopwatch import Stopwatch, take_turns
from resnet_deploy.quantization.count_saturation import count_saturation
from resnet_deploy.results import Environment, Inspection, ParityReport, Verdict
from resnet_deploy.runners.cpu import default_threads, has_vnni
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import SessionSpec

_ROUNDS = 11
_TIMED_SECONDS = 0.6
_MOST_RUNS = 50


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
) -> Verdict:
    """Return what the file ``int8`` brings and costs against ``fp32``.

    Args:
        fp32: the file that ``int8`` was made from.
        int8: in QDQ form.
        batches: a few preprocessed images, ``(N, 3, H, W)``, to count overflows on.
        data: where they come from.
        macs: multiply-accumulates per image.
        inspection: what ONNX Runtime runs of ``int8``.
        parity: how close ``int8`` is; None when that was not asked for.
        environment: where this runs.
        threads: of ONNX Runtime; 0 means the physical cores allowed here.

    Raises:
        RunnerError: ONNX Runtime can't run one of the files.
    """
    images = tuple(batches)
    threads = threads or default_threads()
    fp32_ns, int8_ns = _times(fp32, int8, images[0], threads)
    last = None if parity is None else parity.cases[-1]
    return Verdict(
        cpu=environment.cpu,
        vnni=has_vnni(environment.isa),
        threads=threads,
        fp32_ns=fp32_ns,
        int8_ns=int8_ns,
        fp32_bytes=fp32.stat().st_size,
        int8_bytes=int8.stat().st_size,
        macs=macs,
        sqnr_db=None if last is None else last.worst.sqnr_db,
        agreement=None if last is None else last.agreement,
        answer="class" if last is None or last.answer == "top-1" else last.answer,
        mean_cosine=None if last is None else last.mean_cosine,
        least_cosine=None if last is None else last.least_cosine,
        samples=0 if last is None else last.samples,
        float_layers=tuple(dict.fromkeys(one.layer for one in inspection.float_ops)),
        saturation=count_saturation(
            int8, images, data=data, images=sum(len(one) for one in images), threads=threads
        ),
    )


def _times(
    fp32: Path, int8: Path, images: Array, threads: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the fastest run of each round, in nanoseconds; the two files take turns."""
    # Threads of one file that wait actively would take the cores from the other one's.
    spec = SessionSpec(threads=threads, spin=False)
    with closing(OrtRunner(fp32, spec)) as first, closing(OrtRunner(int8, spec)) as second:
        size = first.input.shape[0] or 1
        batch = np.resize(images, (size, *images.shape[1:]))
        watches = [Stopwatch(runner, batch, size) for runner in (first, second)]
        fp32_ns, int8_ns = take_turns(
            watches, rounds=_ROUNDS, seconds=_TIMED_SECONDS, most_runs=_MOST_RUNS
        )
    return fp32_ns, int8_ns
