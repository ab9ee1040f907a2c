"""Files: written whole or not at all, and named by their content."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

from resnet_deploy.artifact.unfinished import Unfinished, in_turn, is_unfinished, no_room
from resnet_deploy.errors import ArtifactError
from resnet_deploy.processes.interrupts import interrupts_deferred

_CHUNK_BYTES = 1 << 20
_NOTHING: Mapping[Path, str] = MappingProxyType({})


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def check_folder(out: Path) -> None:
    """Refuse an output folder that can't be made, before the work and not after it.

    Raises:
        ArtifactError: ``out``, or what is above it, is a file, a link that leads nowhere, or not
            writable.
    """
    if out.is_symlink() and not out.exists():
        raise ArtifactError(f"-o {out}: it is a link that leads nowhere: name another folder")
    existing = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise ArtifactError(f"-o {out}: {existing} is a file, not a folder: name another folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ArtifactError(f"-o {out}: {existing} can't be written to: name another folder")


def check_within(folder: Path, names: Iterable[str]) -> None:
    """Refuse files of ``folder``, relative to it, that would be written to another place.

    ``folder`` may be a link itself: its user named it.

    Raises:
        ArtifactError: a folder on the way is a link.
    """
    between = {parent for name in names for parent in Path(name).parents} - {Path()}
    for parent in sorted(between):
        if (folder / parent).is_symlink():
            raise ArtifactError(
                f"{folder / parent} is a link, and files would be written where it leads: remove "
                "it, or name another folder"
            )


def write_atomically(path: Path, data: bytes, *, lasting: bool = True) -> None:
    """Write ``data`` under a temporary name and move it into place.

    A run that is killed, or a full disk, leaves what was at ``path`` before. What is not
    ``lasting`` need not be on the disk when this returns: a scratch file is of no use after a power
    cut.

    Raises:
        ArtifactError: the folder or the file can't be written.
    """
    write_together({path: data}, lasting=lasting)


def write_together(
    contents: Mapping[Path, bytes | Path],
    *,
    about: Mapping[Path, str] = _NOTHING,
    lasting: bool = True,
) -> None:
    """Write several files; none is moved into place before all are on disk.

    ``contents`` is what a file holds, or the file that it becomes a copy of: those may be large.
    ``about`` are files that these tell of, with the SHA-256 that they had. ``lasting`` is that of
    :func:`write_atomically`. Of two runs that write the same files at once, one comes after the
    other.

    Raises:
        ArtifactError: a folder or a file can't be written, or what it tells of was replaced. All
            are as they were before, unless moving failed between two files; the message names the
            one that was not replaced.
    """
    with staged(contents, lasting=lasting) as move:
        written = [*contents, *about]
        folders = {path.parent for path in written} if len(written) > 1 else ()
        with in_turn(folders), interrupts_deferred():
            for path, digest in about.items():
                if not path.is_file() or sha256_of(path) != digest:
                    raise ArtifactError(
                        f"{path} was replaced by another command meanwhile: {_listed(contents)} "
                        "would tell of a file that is gone; run one after the other"
                    )
            move()


def _listed(paths: Iterable[Path]) -> str:
    return " and ".join(map(str, paths))


@contextmanager
def staged(
    contents: Mapping[Path, bytes | Path], *, lasting: bool = True
) -> Iterator[Callable[[], None]]:
    """Write files under other names beside their places; give what moves them, the first last.

    What is not moved when the block ends is removed, and so are the folders that were made for it.
    For the rest see :func:`write_together`.

    Raises:
        ArtifactError: a folder or a file can't be written; nothing was changed.
    """
    beside: dict[Path, Unfinished] = {}
    ready: dict[Path, Path] = {}
    made: list[Path] = []

    def move() -> None:
        for path in reversed(ready):
            with _cannot_write(path):
                ready[path].replace(path)

    try:
        for path, data in contents.items():
            with _cannot_write(path):
                _check_file(path)
                _make_folder(path.parent, made)
                if path.parent not in beside:
                    beside[path.parent] = Unfinished(path.parent)
                ready[path], descriptor = beside[path.parent].new()
                _fill(descriptor, data, lasting=lasting)
                ready[path].chmod(_mode(path))
        yield move
    finally:
        with interrupts_deferred():
            for unfinished in beside.values():
                unfinished.remove()
            for folder in reversed(made):
                with suppress(OSError):  # it holds something, as most do
                    folder.rmdir()


def _make_folder(folder: Path, made: list[Path]) -> None:
    """Make ``folder`` and those above it, as far as they are missing, and note them in ``made``."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    made += reversed(missing)
    folder.mkdir(parents=True, exist_ok=True)


def _check_file(path: Path) -> None:
    """Refuse to put a file in the place of something else: root could replace ``/dev/null``.

    Raises:
        OSError: there is a folder, a device, a pipe or a socket.
    """
    with suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            raise OSError(errno.EEXIST, "there is something else than a file")


def _fill(descriptor: int, data: bytes | Path, *, lasting: bool) -> None:
    with open(descriptor, "wb") as stream:
        if isinstance(data, bytes):
            stream.write(data)
        else:
            with data.open("rb") as source:
                shutil.copyfileobj(source, stream, _CHUNK_BYTES)
        stream.flush()
        if lasting:
            os.fsync(descriptor)


def _mode(path: Path) -> int:
    """Return the permissions that ``path`` has, or those that a new file gets here."""
    return path.stat().st_mode & 0o777 if path.is_file() else 0o666 & ~_umask()


@contextmanager
def _cannot_write(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if is_unfinished(path.parent):
            raise no_room(path.parent.parent, error) from error
        raise ArtifactError(
            f"cannot write {path}: {error.strerror or error}; nothing was changed there"
        ) from error


def _umask() -> int:
    """Return the process's umask, which a file that is private at first has to be given later."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
