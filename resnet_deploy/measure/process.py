"""The parent's side of a benchmark: a worker process, idle unless it is being asked."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from resnet_deploy import errors
from resnet_deploy.arrays import Array
from resnet_deploy.errors import ResnetDeployError, RunnerError
from resnet_deploy.measure.affinity import tie
from resnet_deploy.results import BenchSubject

WORKER = (sys.executable, "-m", "resnet_deploy.measure.worker")
_ANSWER_SECONDS = 600.0
_GOODBYE_SECONDS = 5.0


class WorkerProcess:
    """One subject in a process of its own; implements ``stopwatch.Process``.

    Between two requests the process is stopped (SIGSTOP; suspended on Windows): threads that
    wait for work by spinning, as those of ONNX Runtime and OpenMP do for milliseconds after a
    run, would otherwise take the cores from the next subject.

    Args:
        subject: what to run.
        folder: an existing folder for arrays, this process's own.
        command: what to start; tests put misbehaving workers here.
        timeout: seconds to wait for any one answer.
    """

    def __init__(
        self,
        subject: BenchSubject,
        folder: Path,
        command: Sequence[str] = WORKER,
        timeout: float = _ANSWER_SECONDS,
    ) -> None:
        self._label = subject.label
        self._folder = folder
        self._timeout = timeout
        # A file, not a pipe: nobody reads it while the worker runs, so a pipe could fill up.
        self._stderr = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed with the worker
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            encoding="utf-8",
            errors="replace",
            cwd=folder,  # python -m imports from here first: not from the user's folder
        )
        if subject.cpus:
            # Before it starts a thread of its own: threads inherit it.
            tie(self._process.pid, subject.cpus)
        self._answers: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._stopped = False

    def load(self, subject: BenchSubject, samples: Path) -> int:
        """Open the model, and return the nanoseconds that took the runtime.

        Raises:
            ResnetDeployError: as :func:`~resnet_deploy.runners.registry.open_runner` does.
        """
        return int(
            self._ask(
                "load",
                runner=subject.runner,
                model=str(Path(subject.model).absolute()),
                threads=subject.threads,
                options=subject.session_options,
                batch_size=subject.batch_size,
                samples=str(samples),
            )
        )

    def first_run(self) -> int:
        """See ``Process.first_run``."""
        return int(self._ask("first_run"))

    def warm_up(self, seconds: float) -> int:
        """See ``Process.warm_up``."""
        return int(self._ask("warm_up", seconds=seconds))

    def run(self, count: int) -> list[int]:
        """See ``Process.run``."""
        return [int(ns) for ns in self._ask("run", count=count)]

    def saturate(self, seconds: float) -> list[list[int]]:
        """See ``Process.saturate``."""
        return [[int(ns) for ns in one] for one in self._ask("saturate", seconds=seconds)]

    def logits(self) -> Array:
        """See ``Process.logits``."""
        file = self._folder / "logits.npy"
        self._ask("logits", file=str(file))
        array: Array = np.load(file, allow_pickle=False)
        file.unlink()
        return array

    def peak_rss_bytes(self) -> int:
        """Return the most memory the process ever had resident."""
        return int(self._ask("peak_rss"))

    def _ask(self, request: str, **arguments: Any) -> Any:
        line = json.dumps({"do": request, **arguments})
        with self._awake():
            try:
                assert self._process.stdin is not None
                self._process.stdin.write(line + "\n")
                self._process.stdin.flush()
                text = self._answers.get(timeout=self._timeout)
            except queue.Empty:
                self.kill()
                raise RunnerError(
                    f"{self._label} did not answer within {self._timeout:.0f} s and was ended: "
                    "use a smaller batch size"
                ) from None
            except OSError:  # the pipe is broken: it died while it was idle
                text = ""
        if not text:
            raise self._died()
        return self._unpack(text)

    def _unpack(self, text: str) -> Any:
        try:
            answer = json.loads(text)
            if "ok" in answer:
                return answer["ok"]
            kind, message = answer["error"], answer["message"]
        except (ValueError, KeyError, TypeError):
            self.kill()
            raise RunnerError(
                f"{self._label}: its process wrote {text.strip()[:80]!r} instead of an answer"
            ) from None
        error = getattr(errors, kind, RunnerError)
        raise error(message) if issubclass(error, ResnetDeployError) else RunnerError(message)

    def _died(self) -> RunnerError:
        code = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        said = f": {lines[-1][:300]}" if lines else ""
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return RunnerError(f"{self._label}: its process died ({how}){said}")

    @contextmanager
    def _awake(self) -> Iterator[None]:
        self._resume()
        yield
        self._stop()

    def _stop(self) -> None:
        import psutil

        try:
            psutil.Process(self._process.pid).suspend()
            self._stopped = True
        except psutil.Error:  # it has ended
            self._stopped = False

    def _resume(self) -> None:
        import psutil

        if self._stopped:
            self._stopped = False
            try:
                psutil.Process(self._process.pid).resume()
            except psutil.Error:  # it has ended, which the next answer tells
                return

    def _read(self) -> None:
        """Collect answers; an empty one means that there will be no more."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def kill(self) -> None:
        """End the process at once and collect it."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the process: politely when all is well, so that it can free what it holds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if error is None:
            self._resume()
            try:
                self._process.stdin.close()
                self._process.wait(timeout=_GOODBYE_SECONDS)
            except (OSError, subprocess.TimeoutExpired):
                self.kill()
        else:
            self.kill()
        self._reader.join(timeout=_GOODBYE_SECONDS)
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            try:
                stream.close()
            except OSError:  # stdin still held a request that the dead process never read
                continue
