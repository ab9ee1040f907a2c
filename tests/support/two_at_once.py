"""Two commands in one folder at the same time: the first is held at any of its steps."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.forks import FORKS, work

PATIENCE = 1.0
"""Seconds that the first is held: the second has ended by then, or waits for the first."""

_TOUCHING = frozenset(("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod"))


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    stderr: str


@dataclass
class _Hold:
    """Waits before the ``at``-th touch of a file below ``folder``."""

    folder: str
    at: int
    reached: Any
    let_go: Any
    count: int = 0

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            if not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR):
                return
        elif event not in _TOUCHING:
            return
        if not f"{Path(os.fsdecode(str(arguments[0]))).absolute()}".startswith(self.folder):
            return
        self.count += 1
        if self.count == self.at:
            self.reached.set()
            self.let_go.wait()


def _held(
    arguments: Sequence[str], cwd: Path, said: Path, hold: tuple[str, int, Any, Any] | None
) -> None:
    if hold is not None:
        sys.addaudithook(_Hold(*hold).hear)
    work(arguments, cwd, dict(os.environ), said)


def both(
    first: Sequence[str], second: Sequence[str], cwd: Path, *, at: int
) -> tuple[Ended, Ended, bool]:
    """Run ``first`` up to its ``at``-th touch of ``out/`` in ``cwd``, then ``second`` beside it.

    The last value says whether ``first`` came so far: it has fewer touches otherwise.
    """
    with tempfile.TemporaryDirectory() as name:
        reached, let_go = FORKS.Event(), FORKS.Event()
        hold = (str(cwd / "out"), at, reached, let_go)
        begun = []
        for number, (words, held) in enumerate(((first, hold), (second, None))):
            said = Path(name) / str(number)
            said.mkdir()
            process = FORKS.Process(target=_held, args=(words, cwd, said, held))
            process.start()
            begun.append((process, said))
            while number == 0 and not reached.is_set() and process.is_alive():
                time.sleep(0.002)
        came = reached.is_set()
        begun[1][0].join(PATIENCE)
        while begun[1][0].is_alive() and not (begun[1][1] / "stdout").exists():
            begun[1][0].join(PATIENCE)
        let_go.set()
        ended = []
        for process, said in begun:
            process.join()
            assert process.exitcode is not None
            ended.append(Ended(process.exitcode, (said / "stderr").read_text("utf-8", "replace")))
        return ended[0], ended[1], came
