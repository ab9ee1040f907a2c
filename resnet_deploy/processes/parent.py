"""The parent's side: a child process that answers one request after the other."""

from __future__ import annotations

import queue
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from resnet_deploy import errors
from resnet_deploy.errors import ResnetDeployError, RunnerError, last_line
from resnet_deploy.processes.messages import Data, Message, read_message, write_message

_GOODBYE_SECONDS = 5.0


class ChildProcess:
    """A process that runs :func:`~resnet_deploy.processes.messages.serve`; a context manager.

    Leaving the block ends it: politely, so that it can free what it holds, or at once after an
    exception.

    Args:
        command: what to start.
        folder: where it runs, an existing folder: ``python -m`` imports from there first, so it
            should not be the user's.
        name: what errors call it.
        timeout: seconds to wait for any one answer; None waits forever.
        late_advice: what to do about a process that did not answer in time.
        dead_advice: what to do about a process that died.
        environment: all of its variables; None means those of this process.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        name: str,
        *,
        timeout: float | None = None,
        late_advice: str = "",
        dead_advice: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._name = name
        self._timeout = timeout
        self._late_advice, self._dead_advice = late_advice, dead_advice
        # A file, not a pipe: nobody reads it while the child runs, so a pipe could fill up.
        self._stderr = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed with the child
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            cwd=folder,
            env=environment,
        )
        self.pid = self._process.pid
        self._answers: queue.SimpleQueue[Message | ValueError | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def ask(self, do: str, fields: Mapping[str, Any] | None = None, data: Data = b"") -> Message:
        """Return the answer to one request, its value and its bytes.

        Raises:
            ResnetDeployError: what the child was refused, with the class that it had there.
            RunnerError: the child died, is late, or answers nonsense.
        """
        assert self._process.stdin is not None
        try:
            write_message(self._process.stdin, {"do": do, **(fields or {})}, data)
            message = self._answers.get(timeout=self._timeout)
        except queue.Empty:
            self.kill()
            raise RunnerError(
                f"{self._name} did not answer within {self._timeout:.0f} s and was ended"
                f"{self._late_advice}"
            ) from None
        except OSError:  # the pipe is broken: it has died, and may have said why before
            message = self._last_words()
        if message is None:
            raise self._died()
        if isinstance(message, ValueError):
            raise self._talks_nonsense(str(message))
        header = message.value
        if "ok" in header:
            return Message(header["ok"], message.data)
        if "error" not in header:
            raise self._talks_nonsense(str(header))
        kind = getattr(errors, str(header["error"]), None)
        if not (isinstance(kind, type) and issubclass(kind, ResnetDeployError)):
            kind = RunnerError
        raise kind(header.get("message", header["error"]))

    def kill(self) -> None:
        """End the process at once and collect it."""
        self._process.kill()
        self._process.wait()

    def _read(self) -> None:
        """Collect answers; None means that there will be no more."""
        assert self._process.stdout is not None
        message: Message | ValueError | None = None
        try:
            while (message := read_message(self._process.stdout)) is not None:
                self._answers.put(message)
        except ValueError as error:
            message = error
        self._answers.put(message)

    def _last_words(self) -> Message | ValueError | None:
        """Return what a process that no longer reads wrote unasked; an "ok" is no reason."""
        self._reader.join(_GOODBYE_SECONDS)
        try:
            message = self._answers.get_nowait()
        except queue.Empty:
            return None
        return None if isinstance(message, Message) and "ok" in message.value else message

    def _talks_nonsense(self, text: str) -> RunnerError:
        self.kill()
        return RunnerError(f"{self._name}: its process wrote {text!r} instead of an answer")

    def _died(self) -> RunnerError:
        try:
            code = self._process.wait(_GOODBYE_SECONDS)
        except subprocess.TimeoutExpired:  # it only closed its stdout
            self.kill()
            code = self._process.wait()
        self._stderr.seek(0)
        said = last_line(self._stderr.read().decode(errors="replace"))
        return RunnerError(
            f"{self._name}: its process died ({how_it_ended(code)}){said and ': '}{said}"
            f"{self._dead_advice}"
        )

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if exception[0] is None:
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


def how_it_ended(code: int) -> str:
    """Return what the exit ``code`` of a process says; negative codes are signals."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"
