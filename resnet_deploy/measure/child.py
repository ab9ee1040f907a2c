"""The child process of a benchmark: one runner that serves its parent's requests.

Run as ``python -m resnet_deploy.measure.child``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from resnet_deploy.measure.stopwatch import Stopwatch, peak_rss_bytes
from resnet_deploy.processes.messages import Data, Handler, Message, of_array, serve
from resnet_deploy.runners.base import Runner
from resnet_deploy.runners.registry import open_runner
from resnet_deploy.spec import SessionSpec

Opener = Callable[[str, Path, SessionSpec], Runner]
"""Opens the model at a path with the runner of a name."""


class Subject:
    """Answers requests; the first must be ``load``, which calls ``opener``."""

    def __init__(self, opener: Opener = open_runner) -> None:
        self._open = opener

    def handlers(self) -> dict[str, Handler]:
        """Return who answers which request."""
        return {
            "load": self._load,
            "first_run": lambda fields, data: Message(self._stopwatch.first_run()),
            "warm_up": lambda fields, data: Message(self._stopwatch.warm_up(fields["seconds"])),
            "run": lambda fields, data: Message(self._stopwatch.run(fields["count"])),
            "saturate": lambda fields, data: Message(self._stopwatch.saturate(fields["seconds"])),
            "logits": self._logits,
            "peak_rss": lambda fields, data: Message(peak_rss_bytes()),
        }

    def _load(self, fields: dict[str, Any], data: Data) -> Message:
        options = tuple((str(key), str(value)) for key, value in fields["options"])
        spec = SessionSpec(threads=fields["threads"], options=options)
        runner = self._open(fields["runner"], Path(fields["model"]), spec)
        samples = np.load(fields["samples"], allow_pickle=False)
        self._stopwatch = Stopwatch(runner, samples, fields["batch_size"])
        return Message(runner.load_ns)

    def _logits(self, fields: dict[str, Any], data: Data) -> Message:
        return of_array(self._stopwatch.logits())


def main(opener: Opener = open_runner) -> None:
    """Serve stdin and stdout; other runners than this tool's come with an ``opener``."""
    serve(Subject(opener).handlers())


if __name__ == "__main__":
    main()
