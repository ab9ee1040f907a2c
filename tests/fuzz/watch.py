"""What a file may not make the program do: fail otherwise than by its own errors, reach out, grow.

A finding is an exception that is not of the project's tree, an interpreter that asks for more than
2 GiB or runs for more than 30 s, a file opened for writing, a process started, a connection made,
or code compiled from the input.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from resnet_deploy.errors import ResnetDeployError

SECONDS = 30
BYTES = 2 << 30

_REACHING = frozenset(
    ("os.system", "subprocess.Popen", "os.exec", "os.fork", "os.posix_spawn", "socket.connect")
)
_WRITING = frozenset(("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink"))


class Finding(BaseException):
    """What went wrong, in one line; no ``except Exception`` on the way may swallow it."""


class Watch:
    """Runs something on an input, and tells what of it is a finding."""

    def __init__(self) -> None:
        self._watching = False
        self._seen: list[str] = []
        sys.addaudithook(self._hear)

    def run(self, work: Any) -> str | None:
        """Call ``work``; return what is wrong with how it ends, or None."""
        self._seen.clear()
        try:
            with self._limits():
                work()
        except ResnetDeployError as error:
            if "\n" in str(error):
                return f"an error of several lines: {str(error)[:200]!r}"
        except Finding as finding:
            return str(finding)
        except RecursionError as error:
            return _described(error)
        except Exception as error:
            return _described(error)
        return self._seen[0] if self._seen else None

    @contextlib.contextmanager
    def _limits(self) -> Iterator[None]:
        before = _address_space()
        old = resource.getrlimit(resource.RLIMIT_AS)
        handler = signal.signal(signal.SIGALRM, _too_long)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        resource.setrlimit(resource.RLIMIT_AS, (before + BYTES, old[1]))
        self._watching = True
        try:
            yield
        except MemoryError as error:
            raise Finding(f"more than {BYTES >> 30} GiB: {_described(error)}") from error
        finally:
            self._watching = False
            resource.setrlimit(resource.RLIMIT_AS, old)
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._watching:
            return
        if event in _REACHING or event in _WRITING:
            self._seen.append(f"{event}{arguments[:2]!r}"[:200])
        elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
            self._seen.append(f"a file is written: {arguments[0]!r}"[:200])


def _too_long(_: int, frame: FrameType | None) -> None:
    where = "".join(traceback.format_stack(frame)[-1:]).strip() if frame else ""
    raise Finding(f"more than {SECONDS} s: {where}")


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


def _described(error: BaseException) -> str:
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "resnet_deploy" in frame.filename
    ]
    where = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "?"
    return f"{type(error).__name__} at {where}: {str(error)[:160]!r}"
