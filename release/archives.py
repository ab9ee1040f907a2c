"""Sdist and wheel, the same bytes whenever and wherever they are built from one commit."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

_MASK = 0o022
"""Archives hold the permissions of the files that they are made from."""


def commit_time(root: Path) -> int:
    """Return when the last commit was made, in seconds since 1970."""
    return int(_git(root, "log", "-1", "--format=%ct"))


def build(root: Path, folder: Path, time: int) -> list[Path]:
    """Return the sdist and the wheel of what is committed in ``root``, made in ``folder``."""
    source, out = folder / "source", folder / "out"
    source.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(_git(root, "archive", "HEAD"))) as archive:
        archive.extractall(source, filter="data")
    before = os.umask(_MASK)
    try:
        subprocess.run(
            [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)],
            env={**os.environ, "SOURCE_DATE_EPOCH": str(time), "PYTHONPATH": ""},
            stdout=subprocess.DEVNULL,
            check=True,
        )
    finally:
        os.umask(before)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    level(sdist, time)
    return [sdist, wheel]


def level(sdist: Path, time: int) -> None:
    """Take out of an sdist what says when and by whom it was made; in place.

    Setuptools heeds ``SOURCE_DATE_EPOCH`` in wheels alone.
    """
    plain = io.BytesIO()
    with (
        tarfile.open(sdist) as made,
        tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as kept,
    ):
        for entry in sorted(made.getmembers(), key=lambda entry: entry.name):
            content = made.extractfile(entry)
            entry.mtime = time
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.pax_headers = {}
            entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
            kept.addfile(entry, content)
    with sdist.open("wb") as stream, gzip.GzipFile("", "wb", fileobj=stream, mtime=time) as packed:
        packed.write(plain.getvalue())


def check_metadata(archives: Sequence[Path]) -> None:
    """Raise SystemExit where twine finds fault with an archive's metadata, warnings included."""
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, archives)]
    done = subprocess.run(
        command,
        env={**os.environ, "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"twine refuses the archives: they are not released\n{done.stdout}")


def sha256(path: Path) -> str:
    """Return the hash of a file as 64 hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _git(root: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=True).stdout
