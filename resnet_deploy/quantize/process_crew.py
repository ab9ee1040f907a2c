"""Who runs the calibration images: several processes that share them."""

from __future__ import annotations

import queue
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_deploy import errors
from resnet_deploy.errors import ResnetDeployError, RunnerError
from resnet_deploy.quantize.activation_histograms import ActivationHistograms
from resnet_deploy.quantize.worker import read_message, write_message

WORKER = (sys.executable, "-m", "resnet_deploy.quantize.worker")


class ProcessCrew:
    """Implements ``Crew`` with ``workers`` processes, each a ``ThreadCrew`` of its own.

    A batch goes to whichever process is free. Histograms do not depend on which one that is.

    Args:
        model: fp32 graph, serialised, that has ``tensors`` among its outputs.
        tensors: what is observed, the input among them if wanted.
        threads: of all processes together; each has at least one.
        workers: how many processes.
        command: what to start; tests put misbehaving workers here.

    Raises:
        RunnerError: ONNX Runtime refuses the model, or a process died.
    """

    def __init__(
        self,
        model: bytes,
        tensors: Sequence[str],
        threads: int,
        workers: int,
        command: Sequence[str] = WORKER,
    ) -> None:
        self._tensors = tuple(tensors)
        self._folder = tempfile.TemporaryDirectory(prefix="resnet-deploy-")
        folder = Path(self._folder.name)
        (folder / "model.onnx").write_bytes(model)
        self._processes: list[_Process] = []
        self._pool = ThreadPoolExecutor(workers)
        self._running: deque[Future[bytes]] = deque()
        try:
            self._processes += [_Process(command, folder) for _ in range(workers)]
            request = {
                "do": "load",
                "model": str(folder / "model.onnx"),
                "tensors": list(tensors),
                "threads": max(1, threads // workers),
            }
            list(self._pool.map(lambda process: process.ask(request), self._processes))
        except BaseException:
            self._end(at_once=True)
            raise
        self._free: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        for process in self._processes:
            self._free.put(process)

    def add(self, batch: NDArray[Any]) -> None:
        """See ``Crew.add``."""
        while len(self._running) >= 2 * len(self._processes):
            self._running.popleft().result()
        self._running.append(self._pool.submit(self._send, batch))

    def collect(self) -> ActivationHistograms:
        """See ``Crew.collect``."""
        while self._running:
            self._running.popleft().result()
        total = ActivationHistograms.of(self._tensors)
        for data in self._pool.map(lambda one: one.ask({"do": "collect"}), self._processes):
            total.merge(ActivationHistograms.from_bytes(data))
        return total

    def _send(self, batch: NDArray[Any]) -> bytes:
        process = self._free.get()
        try:
            request = {"do": "add", "shape": batch.shape, "dtype": str(batch.dtype)}
            return process.ask(request, np.ascontiguousarray(batch).tobytes())
        finally:
            self._free.put(process)

    def _end(self, *, at_once: bool) -> None:
        if at_once:
            for process in self._processes:
                process.kill()
        self._pool.shutdown(cancel_futures=True)
        for process in self._processes:
            process.close()
        self._folder.cleanup()

    def __enter__(self) -> ProcessCrew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End all processes, at once after an error."""
        self._end(at_once=error is not None)


class _Process:
    """One worker, and how to ask it; answers come in the order of the requests."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        # A file, not a pipe: nobody reads it while the worker runs, so a pipe could fill up.
        self._stderr = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed in close()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            cwd=folder,  # python -m imports from here first: not from the user's folder
        )

    def ask(self, request: dict[str, Any], data: bytes = b"") -> bytes:
        """Return the bytes of the answer.

        Raises:
            ResnetDeployError: what the worker was refused.
            RunnerError: the worker died, or answers nonsense.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            write_message(self._process.stdin, request, data)
            message = read_message(self._process.stdout)
        except OSError:  # the pipe is broken
            message = None
        except (ValueError, KeyError, TypeError) as error:
            raise RunnerError("a calibration worker wrote something else than an answer") from error
        if message is None:
            raise self._died()
        header, answer = message
        if "error" not in header:
            return answer
        kind = getattr(errors, header["error"], RunnerError)
        fits = isinstance(kind, type) and issubclass(kind, ResnetDeployError)
        raise (kind if fits else RunnerError)(header["message"])

    def _died(self) -> RunnerError:
        code = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        said = f": {lines[-1][:300]}" if lines else ""
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return RunnerError(
            f"a calibration worker died ({how}){said}; use fewer --workers if memory is short"
        )

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def close(self) -> None:
        """Tell the process that there is nothing left to do, and collect it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):  # it held a request that a dead process never read
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._stderr.close()
