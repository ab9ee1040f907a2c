"""A runner, and a process of it, whose runs take exactly as long as they are told.

The benchmark's logic is tested with them: the same latencies give the same result.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.model_file import TensorSpec
from resnet_deploy.measure.stopwatch import Stopwatch
from resnet_deploy.results import BenchSubject
from resnet_deploy.runners.base import Runner


class FakeClock:
    """A clock that only :meth:`advance` moves; call it for the nanoseconds."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        """Return the nanoseconds that have passed."""
        return self.now

    def advance(self, nanoseconds: int) -> None:
        """Let time pass."""
        self.now += nanoseconds


class MockRunner(Runner):
    """Returns the same logits for every image; each run advances ``clock``.

    Args:
        clock: the clock that the runs take time of.
        latencies: nanoseconds of each run; the last one repeats.
        logits: ``(classes,)``, the output for every image.
        input: what it says it takes.
    """

    name = "mock"

    def __init__(
        self,
        clock: FakeClock,
        latencies: Iterator[int],
        logits: Array | None = None,
        input: TensorSpec | None = None,
    ) -> None:
        self._clock = clock
        self._latencies = latencies
        self._latency = 0
        self._logits = np.arange(4, dtype=np.float32) if logits is None else logits
        self.input = input or TensorSpec(name="input", dtype="float32", shape=(None, 3, 8, 8))
        self.outputs = (
            TensorSpec(name="logits", dtype="float32", shape=(None, len(self._logits))),
        )
        self.load_ns = 1_000
        self.runs = 0

    def infer_all(self, batch: Array) -> tuple[Array, ...]:
        """Let the next latency pass and return the logits ``(N, classes)``, the only output."""
        self._latency = next(self._latencies, self._latency)
        self._clock.advance(self._latency)
        self.runs += 1
        return (np.repeat(self._logits[None], len(batch), axis=0),)

    def close(self) -> None:
        pass


class MockProcess:
    """Implements ``Process`` with a :class:`MockRunner` in this process.

    ``log`` receives the subject's label at each of its rounds: the order in which they ran.
    """

    def __init__(
        self, subject: BenchSubject, runner: MockRunner, clock: FakeClock, log: list[str]
    ) -> None:
        self._subject = subject
        self._runner = runner
        self._clock = clock
        self._log = log
        self.closed = False

    def load(self, subject: BenchSubject, samples: Path) -> int:
        """See ``Process.load``."""
        array = np.load(samples, allow_pickle=False)
        self._watch = Stopwatch(self._runner, array, subject.batch_size, self._clock)
        return self._runner.load_ns

    def first_run(self) -> int:
        """See ``Process.first_run``."""
        return self._watch.first_run()

    def warm_up(self, seconds: float) -> int:
        """See ``Process.warm_up``."""
        return self._watch.warm_up(seconds)

    def run(self, count: int) -> list[int]:
        """See ``Process.run``."""
        self._log.append(self._subject.label)
        return self._watch.run(count)

    def saturate(self, seconds: float) -> list[list[int]]:
        """See ``Process.saturate``."""
        self._log.append(self._subject.label)
        return self._watch.saturate(seconds)

    def logits(self) -> Array:
        """See ``Process.logits``."""
        return self._watch.logits()

    def peak_rss_bytes(self) -> int:
        """See ``Process.peak_rss_bytes``."""
        return 1_000_000

    def __enter__(self) -> MockProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        self.closed = True
