"""What there is to try, in the order of what it promises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from resnet_deploy.runners.openvino_runner import IN_BFLOAT16
from resnet_deploy.spec import (
    CalibrationMethod,
    Effort,
    FileOptions,
    FirstConv,
    InputFormat,
    Objective,
    ResidualStream,
    RunOptions,
    Runtime,
    TargetIsa,
)

_OPTIONS = (("session.intra_op.allow_spinning", "0"), ("session.dynamic_block_base", "4"))
"""Of ONNX Runtime: those that change how its threads share the work, and no result."""

_BATCHES = (1, 4, 8)


def first_file(own: InputFormat, target: TargetIsa) -> FileOptions:
    """Return what ``export`` makes on a CPU with ``target``: all speeds are against it."""
    return FileOptions(input=own, target_isa=target)


def main_files(
    own: InputFormat, target: TargetIsa, *, keep_input: bool, half: bool = False
) -> Iterator[FileOptions]:
    """Yield the ways to make a file that promise most, after :func:`first_file`.

    Args:
        own: what the fp32 file takes.
        target: the kernels that suit this CPU.
        keep_input: don't change that.
        half: ONNX Runtime computes in float16 on this CPU.
    """
    usual = _usual(own, target, keep_input=keep_input)
    yield FileOptions(int8=False, input=own)
    if half and own.is_float:
        yield FileOptions(int8=False, half=True, input=own)
    if usual.input is not own:
        yield usual
    yield replace(usual, effort=Effort.BEST)
    if target is TargetIsa.X86_AMX:
        yield replace(usual, target_isa=TargetIsa.PORTABLE)


def more_files(own: InputFormat, target: TargetIsa, *, keep_input: bool) -> Iterator[FileOptions]:
    """Yield the other ways; arguments as for :func:`main_files`."""
    usual = _usual(own, target, keep_input=keep_input)
    for method in CalibrationMethod:
        if method is not usual.method:
            yield replace(usual, method=method)
    if usual.input is not own:
        yield replace(usual, input=InputFormat.UINT8_NCHW)
        yield replace(usual, input=InputFormat.UINT8_S2D)
        yield FileOptions(int8=False, input=usual.input)


def files_elsewhere(
    best: FileOptions, own: InputFormat, *, strided_stem: bool
) -> Iterator[FileOptions]:
    """Yield the ways to make ``best`` for a runtime that is not ONNX Runtime.

    Kernels for AMX are ONNX Runtime's. A float residual stream has another form. Another runtime
    may be slower with bytes, and with a first convolution of twelve channels; that one is large
    enough to matter where its stride is not 1.

    Args:
        best: what is best so far, on any runtime.
        own: what the fp32 file takes.
        strided_stem: the first convolution has a stride.
    """
    target = TargetIsa.PORTABLE if best.target_isa is TargetIsa.X86_AMX else best.target_isa
    if best.residual_stream is ResidualStream.FLOAT32:
        best = replace(best, runtime=Runtime.OPENVINO)
    plain = (FirstConv.PLAIN,) if best.int8 and strided_stem else ()
    for way in (*plain, FirstConv.AUTO):
        for input_ in dict.fromkeys((own, best.input)):
            yield replace(best, target_isa=target, input=input_, first_conv=way)


def _usual(own: InputFormat, target: TargetIsa, *, keep_input: bool) -> FileOptions:
    """Bytes as an image library holds them, where the input may be changed.

    Only normalised floats can be turned into something else.
    """
    free = own is InputFormat.FLOAT_NCHW and not keep_input
    return FileOptions(input=InputFormat.UINT8_NHWC if free else own, target_isa=target)


def first_setting(objective: Objective, threads: int) -> RunOptions:
    """Return ONNX Runtime with all of ``threads``: in one process, or each in its own."""
    if objective is Objective.THROUGHPUT:
        return RunOptions(runner="ort", threads=1, instances=threads)
    return RunOptions(runner="ort", threads=threads)


def settings(
    objective: Objective,
    threads: int,
    runners: tuple[str, ...],
    *,
    fixed_batch: bool,
    bfloat16: bool = False,
) -> Iterator[RunOptions]:
    """Yield the ways to run a file, after :func:`first_setting`.

    Args:
        objective: what for.
        threads: how many may be used.
        runners: what else is installed.
        fixed_batch: the file takes one batch size only.
        bfloat16: this CPU computes in it; OpenVINO does for a float file.
    """
    usual = first_setting(objective, threads)
    if objective is Objective.THROUGHPUT:
        shapes = [(threads, 1)] + ([(1, threads)] if threads > 1 else [])
        batches = (1,) if fixed_batch else _BATCHES
        shared = [
            replace(usual, instances=instances, threads=each, batch_size=batch)
            for instances, each in shapes
            for batch in batches
        ]
    else:
        counts = {threads, *(2**power for power in range(10) if 2**power < threads)}
        shared = [replace(usual, threads=count) for count in sorted(counts, reverse=True)]
    if bfloat16 and "openvino" in runners:
        yield from (replace(one, runner="openvino", options=(IN_BFLOAT16,)) for one in shared)
    for runner in runners:
        yield from (replace(setting, runner=runner) for setting in shared)
    yield from (setting for setting in shared if setting != usual)
    yield from (replace(usual, options=(option,)) for option in _OPTIONS)
