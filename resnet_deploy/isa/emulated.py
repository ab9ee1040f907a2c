"""The logits of a file on the real kernels of another CPU, which QEMU shows to ONNX Runtime."""

from __future__ import annotations

import hashlib
import io
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.cache import make_cache_for
from resnet_deploy.artifact.files import sha256_of, write_atomically
from resnet_deploy.artifact.unfinished import scratch_folder
from resnet_deploy.data.npy import read_npy
from resnet_deploy.errors import DatasetError, RunnerError
from resnet_deploy.isa import guest
from resnet_deploy.isa.instruction_sets import Isa
from resnet_deploy.isa.tools import Tools, find_tools, isa_folder, onnxruntime_version
from resnet_deploy.processes import one_shot
from resnet_deploy.progress import ImageStage, Progress, silent
from resnet_deploy.runners.base import filled
from resnet_deploy.runners.cpu import default_threads

_DIGEST_BYTES = 32
_QEMU_NOISE = "TCG doesn't"
"""QEMU warns of every feature of the CPU that it leaves out."""


@dataclass(frozen=True, kw_only=True)
class EmulatedLogits:
    """``logits`` are ``(N, classes)``; ``cached`` when an earlier call made them.

    ``emulator`` is None where they are this CPU's own.
    """

    logits: Array
    emulator: str | None
    seconds: float
    cached: bool


def emulate(
    isa: Isa,
    path: Path,
    images: Array,
    *,
    batch_size: int,
    threads: int = 0,
    progress: Progress = silent,
) -> EmulatedLogits:
    """Run ``images`` on the kernels that ONNX Runtime has for ``isa``.

    Args:
        isa: an instruction set that can be emulated.
        path: the ONNX file.
        images: float32 ``(N, C, H, W)``, preprocessed.
        batch_size: images per run; that of the file if it is fixed.
        threads: 0 means the physical cores allowed here.
        progress: called after every batch.

    Raises:
        SpecError: ``isa`` can't be emulated on this machine.
        MissingDependencyError: the emulator was not fetched.
        RunnerError: there are no images, ONNX Runtime refuses the file, or the emulator failed.
    """
    if len(images) == 0:
        raise RunnerError("there are no images to run")
    start = time.perf_counter_ns()
    tools = find_tools(isa)
    threads = threads or default_threads()
    entry = _cache_entry(isa, path, images, batch_size, threads)
    cached = _read_entry(entry, len(images))
    if cached is None:
        whole = filled(images, batch_size)
        logits = _run(isa, tools, path, whole, batch_size, threads, progress)[: len(images)]
        _write_entry(entry, logits)
    return EmulatedLogits(
        logits=logits if cached is None else cached,
        emulator=f"qemu-{isa.machine} -cpu {isa.emulated_cpu}",
        seconds=(time.perf_counter_ns() - start) / 1e9,
        cached=cached is not None,
    )


def _run(
    isa: Isa,
    tools: Tools,
    path: Path,
    images: Array,
    batch_size: int,
    threads: int,
    progress: Progress,
) -> Array:
    with scratch_folder() as folder:
        np.save(folder / "images.npy", images, allow_pickle=False)
        request = {
            "site": [str(folder) for folder in tools.site],
            "model": str(path.absolute()),
            "images": str(folder / "images.npy"),
            "logits": str(folder / "logits.npy"),
            "batch_size": batch_size,
            "threads": threads,
        }
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")

        starting = f"starting {isa.name} in QEMU"
        progress(starting, 0, 1)

        def handle(line: str) -> None:
            message = json.loads(line)
            if isinstance(message, list):
                _check_features(isa, set(message))
                progress(starting, 1, 1)
                progress(ImageStage(isa.name), 0, len(images))
            else:
                progress(ImageStage(isa.name), message, len(images))

        ended = one_shot.run(
            [*tools.command, guest.__file__, str(folder / "request.json")],
            folder=folder,
            on_line=handle,
            noise=_QEMU_NOISE,
        )
        if ended.failure:
            raise RunnerError(f"{path} does not run on an emulated {isa.name}: {ended.failure}")
        logits: Array = np.load(folder / "logits.npy", allow_pickle=False)
        return logits


def _check_features(isa: Isa, found: set[str]) -> None:
    """Refuse an emulator that shows another CPU than it should: it would prove nothing."""
    wrong = sorted((isa.features - found) | (isa.absent & found))
    if wrong:
        raise RunnerError(
            f"the emulator of {isa.name} reports wrong CPU features ({', '.join(wrong)}): QEMU 7.2 "
            f"or later is needed; delete {isa_folder()}, and fetch it again on Debian 12 or later"
        )


def _cache_entry(isa: Isa, path: Path, images: Array, batch_size: int, threads: int) -> Path:
    """Return the file for the logits, named by all that they depend on."""
    parts = [
        sha256_of(path),
        hashlib.sha256(images.tobytes()).hexdigest(),
        str((images.shape, images.dtype.str, batch_size, threads)),
        f"{isa.name} {isa.emulated_cpu}",
        onnxruntime_version(),
    ]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return isa_folder() / "logits" / f"{key}.npy"


def _read_entry(entry: Path, count: int) -> Array | None:
    """Return the logits in ``entry``, None when it is not there or damaged."""
    try:
        content = entry.read_bytes()
    except OSError:
        return None
    data, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if hashlib.sha256(data).digest() != digest:
        return None
    try:
        logits: Array = read_npy(entry, data)
    except DatasetError:
        return None
    return logits if logits.ndim and len(logits) == count else None


def _write_entry(entry: Path, logits: Array) -> None:
    buffer = io.BytesIO()
    np.save(buffer, logits, allow_pickle=False)
    # NumPy reads no further than the array; the digest behind it shows damage.
    make_cache_for(entry)
    write_atomically(entry, buffer.getvalue() + hashlib.sha256(buffer.getvalue()).digest())
