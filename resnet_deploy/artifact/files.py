"""Files: written whole or not at all, named by their content, or temporary."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path

from resnet_deploy.errors import ArtifactError

_CHUNK_BYTES = 1 << 20


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
        ArtifactError: ``out``, or what is above it, is a file, or a link that leads nowhere.
    """
    if out.is_symlink() and not out.exists():
        raise ArtifactError(f"-o {out}: it is a link that leads nowhere: name another folder")
    existing = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise ArtifactError(f"-o {out}: {existing} is a file, not a folder: name another folder")


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


def write_together(contents: Mapping[Path, bytes | Path], *, lasting: bool = True) -> None:
    """Write several files; none is moved into place before all are on disk.

    ``contents`` is what a file holds, or the file that it becomes a copy of: those may be large.
    ``lasting`` is that of :func:`write_atomically`.

    Raises:
        ArtifactError: a folder or a file can't be written. All are as they were before, unless
            moving failed between two files; the message names the one that was not replaced.
    """
    staged: dict[Path, Path] = {}
    try:
        for path, data in contents.items():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                handle, name = tempfile.mkstemp(
                    dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"
                )
                os.close(handle)
                staged[path] = Path(name)
                _fill(staged[path], data, path, lasting=lasting)
            except OSError as error:
                raise ArtifactError(_cannot_write(path, error)) from error
        for path, temporary in staged.items():
            try:
                temporary.replace(path)
            except OSError as error:
                raise ArtifactError(_cannot_write(path, error)) from error
    finally:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)


def _fill(temporary: Path, data: bytes | Path, path: Path, *, lasting: bool) -> None:
    """Write ``data`` with the permissions of ``path``, or those that a new file gets here."""
    with temporary.open("wb") as stream:
        if isinstance(data, bytes):
            stream.write(data)
        else:
            with data.open("rb") as source:
                shutil.copyfileobj(source, stream, _CHUNK_BYTES)
        stream.flush()
        if lasting:
            os.fsync(stream.fileno())
    temporary.chmod(path.stat().st_mode & 0o777 if path.is_file() else 0o666 & ~_umask())


def _cannot_write(path: Path, error: OSError) -> str:
    return f"cannot write {path}: {error.strerror or error}; nothing was changed there"


def _umask() -> int:
    """Return the process's umask; mkstemp ignores it and makes files private."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


class Scratch:
    """A temporary folder that is there as long as something refers to this object.

    What a verb makes is a value; runtimes in other processes still need a file to open.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="resnet-deploy-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
