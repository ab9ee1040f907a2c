"""Files of Debian packages that this machine's release does not have: fetched once and kept."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from resnet_deploy.artifact.files import cache_folder
from resnet_deploy.errors import MissingDependencyError
from resnet_deploy.isa.debian import unpack


def from_suites(package: str, file: str, suites: Sequence[str]) -> Path:
    """Return ``file`` (or a folder) of ``package``, of the first of ``suites`` that has it.

    The package alone is fetched, from the machine's own sources, looked at as another suite.

    Raises:
        MissingDependencyError: this is no Debian, or no suite has it.
    """
    reasons = []
    for suite in suites:
        kept = cache_folder() / "native" / f"{package}-{suite}"
        if not kept.is_dir():
            try:
                _fetch(package, suite, kept)
            except MissingDependencyError as error:
                reasons.append(str(error))
                continue
        return kept / file
    raise MissingDependencyError("; ".join(reasons))


def _fetch(package: str, suite: str, kept: Path) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".fetch-") as name:
        scratch = Path(name)
        for each in ("sources", "lists/partial", "cache/archives/partial"):
            (scratch / each).mkdir(parents=True)
        _write_sources(scratch / "sources", suite)
        # A suite may lack one of the machine's sources: the download tells whether that matters.
        _apt(scratch, "update", check=False)
        _apt(scratch, "download", package)
        unpack(sorted(scratch.glob("*.deb")), scratch / "root")
        try:
            (scratch / "root").rename(kept)
        except OSError:
            if not kept.is_dir():  # else another process put it there meanwhile
                raise


def _write_sources(folder: Path, suite: str) -> None:
    release = Path("/etc/os-release")
    text = release.read_text(encoding="utf-8") if release.is_file() else ""
    found = re.search(r"^VERSION_CODENAME=(\w+)$", text, re.MULTILINE)
    if found is None:
        raise MissingDependencyError("this is no Debian")
    own = re.compile(rf"(?<![\w-]){found[1]}\b")
    etc = Path("/etc/apt")
    sources = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    for number, source in enumerate(path for path in sources if path.is_file()):
        entries = source.read_text(encoding="utf-8")
        if own.search(entries):
            name = folder / f"{number}{source.suffix}"
            name.write_text(own.sub(suite, entries), encoding="utf-8")


def _apt(folder: Path, *arguments: str, check: bool = True) -> None:
    options = {
        "Dir::Etc::SourceList": "/dev/null",
        "Dir::Etc::SourceParts": folder / "sources",
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    apt = shutil.which("apt-get")
    if apt is None:
        raise MissingDependencyError("this is no Debian")
    done = subprocess.run(
        [apt, "-q", *(f"-o{key}={value}" for key, value in options.items()), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if line.startswith("E:")]
    if check and done.returncode != 0:
        raise MissingDependencyError(f"apt-get {' '.join(arguments)} fails: {complaints[:1]}")
