"""A process that does one thing and ends."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from resnet_deploy.errors import last_line
from resnet_deploy.processes.parent import how_it_ended


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code (a signal's is negative), and its stderr."""

    code: int
    stderr: str

    @property
    def failure(self) -> str:
        """Why it failed, in one line: the last of stderr; empty when it did not."""
        if self.code == 0:
            return ""
        return last_line(self.stderr, otherwise=how_it_ended(self.code))


def run(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    timeout: float | None = None,
    environment: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
    noise: str | None = None,
) -> Ended:
    """Run ``command`` to its end; an exception meanwhile, Ctrl-C as well, kills it.

    Args:
        command: the program and its arguments.
        folder: where it runs. A ``python -c`` imports from there first: not from the user's folder.
        timeout: seconds; with ``on_line``, they count from the end of its output.
        environment: all of its variables; None means those of this process.
        on_line: called with each line that it prints; without it, they are dropped.
        noise: lines of stderr that have this in them say nothing.

    Raises:
        TimeoutError: it took longer, and was killed.
    """
    with (
        tempfile.TemporaryFile() as stderr,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if on_line is None else subprocess.PIPE,
            stderr=stderr,
            text=True,
            errors="replace",
            cwd=folder,
            env=environment,
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                assert on_line is not None
                on_line(line)
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise TimeoutError(f"it took more than {timeout:.0f} s") from None
        except BaseException:
            process.kill()
            raise
        stderr.seek(0)
        lines = stderr.read().decode(errors="replace").splitlines(keepends=True)
        return Ended(code, "".join(line for line in lines if noise is None or noise not in line))
