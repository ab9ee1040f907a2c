"""What a file may not make the program do: fail otherwise than by its own errors, reach out, grow.

A finding is

- an exception that is not of the project's tree, or one of several lines;
- more than 2 GiB, or more than 30 s;
- a file read, listed or written outside the input's folder and what belongs to the program;
- a process started, a connection made;
- a module imported by a name that was computed, code compiled or run, a pickle of Python's read.

What Python opens is seen by an audit hook. What libraries open below it is not, so paths that lead
out of the folder lead to files that the kernel watches (``outside.py``).
"""

from __future__ import annotations

import contextlib
import opcode
import os
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

import resnet_deploy
from resnet_deploy.errors import ResnetDeployError

SECONDS = 30
BYTES = 2 << 30

_REACHING: Final = (
    *("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "pty.spawn"),
    *("subprocess.Popen", "socket.", "urllib.", "ftplib.", "http.", "smtplib.", "webbrowser."),
    *("os.kill", "os.chdir", "os.putenv", "os.unsetenv", "signal."),
)
_CHANGING: Final = frozenset(
    {
        *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod"),
        *("os.truncate", "os.chown", "os.setxattr", "shutil.rmtree", "shutil.move"),
        *("shutil.copyfile", "shutil.copytree", "shutil.make_archive", "shutil.unpack_archive"),
    }
)
_LISTING: Final = frozenset({"os.listdir", "os.scandir"})
_RUNNING: Final = frozenset({"import", "exec", "compile", "marshal.loads", "ctypes.dlopen"})

_OWN: Final = tuple(
    sorted(
        {
            *(os.path.realpath(entry) for entry in sys.path if entry),
            *(sys.prefix, sys.base_prefix, sys.exec_prefix),
            str(Path(resnet_deploy.__file__).parents[1]),
            *(
                "/proc",
                "/sys",
                "/dev/urandom",
                "/dev/null",
                "/usr/share/zoneinfo",
                "/etc/localtime",
            ),
        }
    )
)
"""Where the program and what it runs on lie."""

_IMPORT: Final = frozenset(
    number for name, number in opcode.opmap.items() if name.startswith("IMPORT_NAME")
)
_IMPORTLIB: Final = "<frozen importlib"

_MAKERS: Final = (
    "/ast.py",  # parses and runs nothing
    "/dataclasses.py",
    "/collections/__init__.py",
    "/typing.py",
    "/cattrs/",
    "/attr/",
    "/jinja2/",
    "/encodings/__init__.py",
    "/PIL/Image.py",
)
"""Libraries that compile what they make of classes and templates when it is first needed, or import
by names of their own tables."""


class Finding(BaseException):
    """What went wrong, in one line; no ``except Exception`` on the way may swallow it."""


class Watch:
    """Runs something on an input, and tells what of it is a finding."""

    def __init__(self) -> None:
        self._watching = False
        self._seen: list[str] = []
        self._allowed: tuple[str, ...] = ()
        self._changed: tuple[str, ...] = ()
        sys.addaudithook(self._hear)

    def run(self, work: Callable[[], object], folder: Path, *, writes: bool = False) -> str | None:
        """Call ``work``, which reads a file in ``folder``; return what is wrong with it, or None.

        ``writes`` says that it may write there, too.
        """
        self._seen.clear()
        inside, temporary = os.path.realpath(folder), os.path.realpath(tempfile.gettempdir())
        self._allowed = (inside, temporary, *_OWN)
        self._changed = (inside, temporary) if writes else (temporary,)
        how = self._ending(work)
        return self._seen[0] if self._seen else how

    def _ending(self, work: Callable[[], object]) -> str | None:
        try:
            with self._limits():
                work()
        except ResnetDeployError as error:
            if "\n" in str(error):
                return f"an error of several lines: {str(error)[:200]!r}"
            if _ran_out(error):
                return f"more than {BYTES >> 30} GiB, told as {type(error).__name__}: {error}"[:200]
        except Finding as finding:
            return str(finding)
        except Exception as error:
            return _described(error)
        return None

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
        what = None
        if event == "open":
            what = self._opened(*arguments[:3])
        elif event in _LISTING:
            if not self._within(arguments[0] or ".", self._allowed):
                what = f"a folder outside is listed: {arguments[0]!r}"
        elif event in _CHANGING:
            paths = [path for path in arguments[:2] if isinstance(path, str | bytes | os.PathLike)]
            base = _folder_of(arguments)
            if not all(self._within(base / os.fsdecode(path), self._changed) for path in paths):
                what = f"{event}{arguments[:2]!r}"
        elif event in _RUNNING:
            what = _asked_for(event, arguments)
        elif event == "pickle.find_class":
            what = f"a pickle names {arguments!r}"
        elif event.startswith(_REACHING):
            what = f"{event}{arguments[:2]!r}"
        if what is not None:
            self._seen.append(what[:200])

    def _opened(self, path: Any, mode: str | None, flags: int) -> str | None:
        if isinstance(path, int):
            return None
        if mode is None:
            writing = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        else:
            writing = bool(set(mode) & set("wax+"))
        if writing and not self._within(path, self._changed):
            return f"a file is written: {path!r}"
        if not self._within(path, self._allowed):
            return f"a file outside is read: {path!r}"
        return None

    def _within(self, path: Any, places: tuple[str, ...]) -> bool:
        if isinstance(path, int):
            return True
        found = os.path.realpath(os.fsdecode(path))
        return any(found == place or found.startswith(f"{place}/") for place in places)


def _folder_of(arguments: tuple[Any, ...]) -> Path:
    """Return what paths in the ``arguments`` of an event are relative to: they end in a dir_fd."""
    last = arguments[-1]
    if isinstance(last, int) and last >= 0 and len(arguments) > 1:
        with contextlib.suppress(OSError):
            return Path(f"/proc/self/fd/{last}").readlink()
    return Path.cwd()


def _asked_for(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Return what is imported, compiled or run, unless a line of a program's source asks for it.

    An ``import`` statement has its name from the source. Everything that comes of it, down to the
    code that runs in the module, lies above it on the stack.
    """
    frame: FrameType | None = sys._getframe(2)
    caller = None
    while frame is not None:
        code, at = frame.f_code, frame.f_lasti
        if at >= 0 and code.co_code[at] in _IMPORT:
            return None
        if caller is None and not code.co_filename.startswith(_IMPORTLIB):
            caller = frame
            if any(known in code.co_filename for known in _MAKERS):
                return None
        frame = frame.f_back
    if caller is None:
        return f"{event}: {arguments[:1]!r}"
    return f"{event} at {Path(caller.f_code.co_filename).name}:{caller.f_lineno}: {arguments[:1]!r}"


def _ran_out(error: BaseException) -> bool:
    """Whether memory is what ``error`` comes of."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


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
