"""Says whether an int8 file is worth it: how much faster, how close, and where else it works."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.fp32_baseline import quiet_session
from resnet_deploy.measure.stopwatch import Stopwatch, take_turns
from resnet_deploy.quantization.count_saturation import count_saturation
from resnet_deploy.results import Environment, Inspection, ParityReport, Verdict
from resnet_deploy.runners.cpu import default_threads, has_vnni
from resnet_deploy.runners.ort_runner import OrtRunner

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

    ``int8`` is a QDQ file made from ``fp32``. Overflows are counted on ``batches``, a few
    preprocessed images of ``data``, ``(N, 3, H, W)``. ``macs`` are multiply-accumulates per image,
    ``inspection`` tells what ONNX Runtime runs of ``int8``, ``parity`` how close it is if that was
    asked for.

    Raises:
        RunnerError: ONNX Runtime can't run one of the files.
    """
    images = tuple(batches)
    threads = threads or default_threads()
    session = quiet_session(threads)
    with closing(OrtRunner(fp32, session)) as first, closing(OrtRunner(int8, session)) as second:
        size = first.input.shape[0] or 1
        batch = np.resize(images[0], (size, *images[0].shape[1:]))
        watches = [Stopwatch(runner, batch, size) for runner in (first, second)]
        fp32_ns, int8_ns = take_turns(
            watches, rounds=_ROUNDS, seconds=_TIMED_SECONDS, most_runs=_MOST_RUNS
        )
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
        samples=0 if last is None else last.samples,
        float_layers=tuple(dict.fromkeys(operator.layer for operator in inspection.float_ops)),
        saturation=count_saturation(
            int8, images, data=data, images=sum(map(len, images)), threads=threads
        ),
    )
