"""Writing files whole or not at all, and naming their content."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from resnet_deploy.errors import ArtifactError

CACHE_VARIABLE = "RESNET_DEPLOY_CACHE"

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
        ArtifactError: ``out``, or what is above it, is a file.
    """
    existing = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise ArtifactError(f"-o {out}: {existing} is a file, not a folder: name another folder")


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` under a temporary name and move it into place.

    A run that is killed, or a full disk, leaves what was at ``path`` before.

    Raises:
        ArtifactError: the folder or the file can't be written.
    """
    write_together({path: data})


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write several files; none is moved into place before all are on disk.

    Raises:
        ArtifactError: a folder or a file can't be written. All are as they were before, unless
            moving failed between two files; the message names the one that was not replaced.
    """
    staged: dict[Path, Path] = {}
    try:
        for path, data in contents.items():
            try:
                staged[path] = _temporary_beside(path)
                _fill(staged[path], data, _mode_of(path))
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


def _temporary_beside(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    return Path(name)


def _mode_of(path: Path) -> int:
    """Return who may read and write ``path``: as it is, or as a new file gets it here."""
    return path.stat().st_mode & 0o777 if path.is_file() else 0o666 & ~_umask()


def _fill(temporary: Path, data: bytes, mode: int) -> None:
    with temporary.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.chmod(mode)


def _cannot_write(path: Path, error: OSError) -> str:
    return f"cannot write {path}: {error.strerror or error}; nothing was changed there"


def _umask() -> int:
    """Return the process's umask; mkstemp ignores it and makes files private."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def cache_folder() -> Path:
    """Return where downloads and calibrations are kept.

    ``$RESNET_DEPLOY_CACHE``, or the XDG cache folder.
    """
    own = os.environ.get(CACHE_VARIABLE)
    if own:
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "resnet-deploy"
