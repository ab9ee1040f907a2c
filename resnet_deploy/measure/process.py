"""The parent's side of a benchmark: a child process, idle unless it is being asked."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from resnet_deploy.arrays import Array
from resnet_deploy.measure.affinity import tie
from resnet_deploy.processes.messages import Message, to_array
from resnet_deploy.processes.parent import ChildProcess
from resnet_deploy.results import BenchSubject

CHILD = (sys.executable, "-m", "resnet_deploy.measure.child")
_ANSWER_SECONDS = 600.0


class SubjectProcess:
    """One subject in a process of its own; implements ``stopwatch.Process``.

    Between two requests the process is stopped (SIGSTOP; suspended on Windows): threads that
    wait for work by spinning, as those of ONNX Runtime and OpenMP do for milliseconds after a
    run, would otherwise take the cores from the next subject.

    Args:
        subject: what to run.
        folder: an existing folder where it runs.
        command: what to start; tests put misbehaving children here.
        timeout: seconds to wait for any one answer.
    """

    def __init__(
        self,
        subject: BenchSubject,
        folder: Path,
        command: Sequence[str] = CHILD,
        timeout: float = _ANSWER_SECONDS,
    ) -> None:
        self._child = ChildProcess(
            command,
            folder,
            subject.label,
            timeout=timeout,
            late_advice=": use a smaller batch size",
        )
        self.pid = self._child.pid
        self._system = psutil.Process(self.pid)
        if subject.cpus:
            # Before it starts a thread of its own: threads inherit it.
            tie(self.pid, subject.cpus)

    def load(self, subject: BenchSubject, samples: Path) -> int:
        """Open the model, and return the nanoseconds that took the runtime.

        Raises:
            ResnetDeployError: as :func:`~resnet_deploy.runners.registry.open_runner` does.
        """
        fields = {
            "runner": subject.runner,
            "model": str(Path(subject.model).absolute()),
            "threads": subject.threads,
            "options": subject.session_options,
            "batch_size": subject.batch_size,
            "samples": str(samples),
        }
        return int(self._ask("load", fields).value)

    def first_run(self) -> int:
        """See ``Process.first_run``."""
        return int(self._ask("first_run").value)

    def warm_up(self, seconds: float) -> int:
        """See ``Process.warm_up``."""
        return int(self._ask("warm_up", {"seconds": seconds}).value)

    def run(self, count: int) -> list[int]:
        """See ``Process.run``."""
        return [int(ns) for ns in self._ask("run", {"count": count}).value]

    def saturate(self, seconds: float) -> list[list[int]]:
        """See ``Process.saturate``."""
        answer = self._ask("saturate", {"seconds": seconds})
        return [[int(ns) for ns in times] for times in answer.value]

    def logits(self) -> Array:
        """See ``Process.logits``."""
        return to_array(*self._ask("logits"))

    def peak_rss_bytes(self) -> int:
        """Return the most memory the process ever had resident."""
        return int(self._ask("peak_rss").value)

    def _ask(self, request: str, fields: Mapping[str, Any] | None = None) -> Message:
        self._resume()
        answer = self._child.ask(request, fields)
        with suppress(psutil.Error):  # it has ended
            self._system.suspend()
        return answer

    def _resume(self) -> None:
        with suppress(psutil.Error):  # it has ended, which the next answer tells
            self._system.resume()

    def __enter__(self) -> SubjectProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        """End the process: politely when all is well, so that it can free what it holds."""
        if exception[0] is None:
            self._resume()
        self._child.__exit__(*exception)
