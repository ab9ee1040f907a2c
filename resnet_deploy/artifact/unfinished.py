"""Files and folders that are not finished: their one name, who holds them, what becomes of them.

A file has the name ``.resnet-deploy-TOKEN.tmp``, in the folder where it will lie, until it is moved
into place. Folders that are needed only while something runs have such a name too, in ``TMPDIR``.
A run that is stopped removes its own. One that is killed (SIGKILL, a power cut) can't; but its lock
on them goes with it, and the next run that makes one there removes those that nobody holds.
"""

from __future__ import annotations

import atexit
import errno
import importlib.util
import os
import re
import secrets
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from resnet_deploy.errors import ArtifactError, ResnetDeployError
from resnet_deploy.processes.interrupts import interrupts_deferred

_NAME = re.compile(r"\.resnet-deploy-([0-9a-f]{16})(-[0-9]+)?\.tmp")
_TURN_SECONDS = 10.0
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OTHER_FOLDER = "set TMPDIR to a folder that can be written and has room"
_NAMED_BY = ("TMPDIR", "TEMP", "TMP")
"""Variables that name the temporary folder, in Python's order."""

LOCKABLE = importlib.util.find_spec("fcntl") is not None
_SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def is_unfinished(path: Path) -> bool:
    """Return whether ``path`` has the name of something that is not finished."""
    return _NAME.fullmatch(path.name) is not None


def remove_abandoned(folder: Path) -> None:
    """Remove what killed runs left unfinished in ``folder``, as far as that can be done.

    What a run that is alive holds stays. Where files can't be locked (Windows, some network file
    systems) all stays.
    """
    try:
        with os.scandir(folder) as entries:
            found = [match for entry in entries if (match := _NAME.fullmatch(entry.name))]
    except OSError:
        return
    for token in {match[1] for match in found}:
        followers = [folder / match[0] for match in found if match[1] == token and match[2]]
        with suppress(OSError):
            _remove(folder / _name(token), followers)


def _remove(first: Path, followers: Iterable[Path]) -> None:
    """Remove files of one token, or a folder.

    Raises:
        OSError: somebody holds them; the first is a link, or can't be opened.
    """
    with ExitStack() as stack:
        try:
            descriptor = os.open(first, os.O_RDONLY | _SAFELY)
            stack.callback(os.close, descriptor)
            lock(descriptor)
        except FileNotFoundError:
            pass  # it is the last to go: those that follow it are abandoned
        for path in followers:
            path.unlink(missing_ok=True)
        if first.is_dir():
            shutil.rmtree(first, ignore_errors=True)
        else:
            first.unlink(missing_ok=True)


def _name(token: str, number: int = 0) -> str:
    return f".resnet-deploy-{token}{f'-{number}' if number else ''}.tmp"


def lock(descriptor: int, *, wait: bool = False) -> None:
    """Lock an open file or folder.

    Raises:
        OSError: somebody else has it locked, or it can't be locked here.
    """
    if not LOCKABLE:
        raise OSError("this system locks no files")
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def _held(path: Path, descriptor: int) -> bool:
    """Lock what was just made; return whether it is still there.

    Another run may have taken it for abandoned before it was locked.
    """
    with suppress(OSError):
        lock(descriptor, wait=True)
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


class Unfinished:
    """Files in one folder that have no name of their own yet.

    The first stands for the others: it is the one that is locked, and has to be moved last.
    """

    def __init__(self, folder: Path) -> None:
        remove_abandoned(folder)
        self._folder = folder
        self._token = secrets.token_hex(8)
        self._paths: list[Path] = []
        self._first: int | None = None

    def new(self) -> tuple[Path, int]:
        """Make a file; return its path, and a descriptor that its caller closes.

        Raises:
            OSError: it can't be made.
        """
        path = self._folder / _name(self._token, len(self._paths))
        self._paths.append(path)  # before it is there: a signal may come at any moment
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFELY, 0o600)
        if len(self._paths) == 1 and LOCKABLE:
            if not _held(path, descriptor):
                os.close(descriptor)
                self._token, self._paths = secrets.token_hex(8), []
                return self.new()
            self._first = os.dup(descriptor)
        return path, descriptor

    def remove(self) -> None:
        """Remove those that were not moved away."""
        for path in reversed(self._paths):
            path.unlink(missing_ok=True)
        if self._first is not None:
            os.close(self._first)


@contextmanager
def in_turn(folders: Iterable[Path]) -> Iterator[None]:
    """Keep other runs from moving sets of files into ``folders`` before the block ends.

    Of two runs at once, the one that comes last replaces all. Who keeps a folder for longer than
    ten seconds is a training, which has files of its own there: nobody waits for its end.
    """
    with ExitStack() as stack:
        for folder in sorted(set(folders)):
            with suppress(OSError):
                descriptor = os.open(folder, os.O_RDONLY)
                stack.callback(os.close, descriptor)
                _wait_for(descriptor)
        yield


def _wait_for(descriptor: int) -> None:
    end = time.monotonic() + _TURN_SECONDS
    while True:
        try:
            return lock(descriptor)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


class _Folder:
    """A folder in ``parent`` that is held by this process until :meth:`remove`, or its end."""

    def __init__(self, parent: Path) -> None:
        self._maker = os.getpid()
        self._descriptor: int | None = None
        remove_abandoned(parent)
        with interrupts_deferred():
            self.path = self._made(parent)
            # A signal may keep its user from removing it, even at the first step of a ``finally``.
            atexit.register(self.remove)

    def _made(self, parent: Path) -> Path:
        while True:
            path = parent / _name(secrets.token_hex(8))
            path.mkdir(0o700)
            if not LOCKABLE:
                return path
            with suppress(FileNotFoundError):  # another run took it for abandoned already
                self._descriptor = os.open(path, os.O_RDONLY)
                if _held(path, self._descriptor):
                    return path
                os.close(self._descriptor)

    def remove(self) -> None:
        """Remove it, unless it is the folder of the process that this one was forked from."""
        if os.getpid() != self._maker:
            return
        with interrupts_deferred():
            shutil.rmtree(self.path, ignore_errors=True)
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
            atexit.unregister(self.remove)


def find_temporary_folder() -> None:
    """Let Python find its temporary folder, by a file without a name where files can have none.

    Python tries it with a file of its own, once, which stays there where the process is killed.
    """
    named = next((path for name in _NAMED_BY if (path := os.environ.get(name))), os.sep + "tmp")
    with interrupts_deferred(), suppress(OSError):  # told where one is needed
        if tempfile.tempdir is None and hasattr(os, "O_TMPFILE"):
            folder = str(Path(named).absolute())
            with suppress(OSError):  # Python then tries it, and other folders
                os.close(os.open(folder, os.O_RDWR | os.O_TMPFILE, 0o600))
                tempfile.tempdir = folder
        tempfile.gettempdir()


def _in_temporary_folder() -> _Folder:
    find_temporary_folder()
    try:
        return _Folder(Path(tempfile.gettempdir()))
    except OSError as error:
        raise ArtifactError(
            f"no temporary folder can be made ({error.strerror or error}): {_OTHER_FOLDER}"
        ) from error


def no_room(parent: Path, error: OSError) -> ArtifactError:
    """Return what is said where a temporary file could not be written below ``parent``."""
    return ArtifactError(
        f"cannot write a temporary file in {parent}: {error.strerror or error}: {_OTHER_FOLDER}"
    )


def _is_full(folder: Path, error: Exception) -> bool:
    """Whether ``error`` came as there was no room in ``folder``.

    Libraries and child processes that could not write to the end say all sorts of things. That no
    block is free is what they have in common.
    """
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return True
    with suppress(OSError, AttributeError):  # Windows has no statvfs
        return os.statvfs(folder).f_bavail == 0
    return False


class Scratch:
    """A temporary folder that is there as long as something refers to this object.

    What a verb makes is a value; runtimes in other processes still need a file to open.

    Raises:
        ArtifactError: no folder can be made in ``TMPDIR``.
    """

    def __init__(self) -> None:
        made = _in_temporary_folder()
        self.folder = made.path
        weakref.finalize(self, made.remove).atexit = False  # that is seen to already


@contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """Give a folder that is there until the block ends, by default in ``TMPDIR``.

    Raises:
        ArtifactError: no folder can be made in ``TMPDIR``, or the block failed as its disk is full.
        OSError: none can be made in ``parent``.
    """
    made = _in_temporary_folder() if parent is None else _Folder(parent)
    try:
        yield made.path
    except (OSError, ResnetDeployError) as error:
        if parent is None and _is_full(made.path, error):
            full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise no_room(made.path.parent, full) from error
        raise
    finally:
        made.remove()
