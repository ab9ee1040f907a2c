"""Debian packages of any architecture, downloaded and unpacked without root."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from resnet_deploy.errors import MissingDependencyError, one_line
from resnet_deploy.processes import one_shot

_CONFIGURATION = """\
#clear APT::Update;
#clear DPkg;
#clear APT::Architectures;
APT::Architecture "{first}";
APT::Architectures {{ {architectures} }};
APT::Sandbox::User "root";
APT::Get::Assume-Yes "true";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
APT::Get::AllowUnauthenticated "false";
Debug::NoLocking "true";
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Log "{folder}/log";
"""
"""Hooks of the machine are cleared, its sources and keys stay: apt checks the signature of each
Release file, the hash of each list against it, and that of each package against the list. No
package counts as installed, so that a download brings everything that its packages depend on."""

_OTHER_SOURCES = """\
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "{folder}/sources";
"""


class PrivateApt:
    """The machine's own package sources, with all of apt's state in a private folder.

    Args:
        folder: an existing empty folder.
        architectures: Debian's names; the first is that of packages named without one.
        suite: another release of Debian than the machine's, such as trixie: the same sources are
            looked at for it.

    Raises:
        MissingDependencyError: this is not Debian.
    """

    def __init__(
        self, folder: Path, architectures: Sequence[str], *, suite: str | None = None
    ) -> None:
        self._apt = _program("apt-get")
        self._folder = folder
        for name in ("state/lists/partial", "cache/archives/partial", "log"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        configuration = _CONFIGURATION.format(
            first=architectures[0],
            architectures=" ".join(f'"{name}";' for name in architectures),
            folder=folder,
        )
        if suite is not None:
            _write_sources(folder / "sources", suite)
            configuration += _OTHER_SOURCES.format(folder=folder)
        (folder / "apt.conf").write_text(configuration, encoding="utf-8")
        # One source of several may be down, or lack an architecture: only a download can tell
        # whether that matters.
        self._warnings = _complaints(self._run("update").stderr)

    def download(self, *packages: str) -> list[Path]:
        """Return the files of ``packages`` and of all that they depend on.

        Raises:
            MissingDependencyError: a package or the network is not there.
        """
        archives = self._folder / "cache/archives"
        for old in archives.glob("*.deb"):
            old.unlink()
        ended = self._run("install", "--download-only", *packages)
        if ended.failure:
            raise self._missing(" ".join(packages), ended)
        return sorted(archives.glob("*.deb"))

    def download_alone(self, package: str) -> Path:
        """Return the file of ``package``, without what it depends on.

        Raises:
            MissingDependencyError: the package or the network is not there.
        """
        archives = self._folder / "alone"
        archives.mkdir(exist_ok=True)
        ended = self._run("download", package, folder=archives)
        found = sorted(archives.glob(f"{package.partition(':')[0]}_*.deb"))
        if ended.failure or not found:
            raise self._missing(package, ended)
        return found[-1]

    def _missing(self, packages: str, ended: one_shot.Ended) -> MissingDependencyError:
        reasons = [*self._warnings, *_complaints(ended.stderr), "no reason given"]
        return MissingDependencyError(
            f"apt-get can't download {packages} ({reasons[0]}): check the network and the "
            "machine's package sources"
        )

    def _run(self, *arguments: str, folder: Path | None = None) -> one_shot.Ended:
        return one_shot.run(
            [self._apt, "-q", "-c", str(self._folder / "apt.conf"), *arguments],
            folder=folder,
            environment={**os.environ, "LC_ALL": "C"},
        )


def release_of_debian() -> tuple[str, int] | None:
    """Return this machine's release, such as ``("bookworm", 12)``; None: not a stable Debian."""
    path = Path("/etc/os-release")
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    found = dict(re.findall(r'^(ID|VERSION_CODENAME|VERSION_ID)="?([\w.]+)"?$', text, re.MULTILINE))
    number = found.get("VERSION_ID", "")
    if found.get("ID") != "debian" or not number.isdecimal() or "VERSION_CODENAME" not in found:
        return None
    return found["VERSION_CODENAME"], int(number)


def _write_sources(folder: Path, suite: str) -> None:
    """Write the machine's package sources into ``folder``, with another release in them."""
    folder.mkdir()
    release = release_of_debian()
    if release is None:
        raise MissingDependencyError(f"packages of Debian's {suite} are fetched on Debian alone")
    own = re.compile(rf"(?<![\w-]){re.escape(release[0])}\b")
    etc = Path("/etc/apt")
    places = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    for number, source in enumerate(path for path in places if path.is_file()):
        entries = source.read_text(encoding="utf-8", errors="replace")
        if own.search(entries):
            name = folder / f"{number}{source.suffix}"
            name.write_text(own.sub(suite, entries), encoding="utf-8")


def _complaints(stderr: str) -> list[str]:
    lines = [" ".join(line.split()) for line in stderr.splitlines()]
    return [line[:300] for line in lines if line.startswith(("E:", "W: Failed"))]


def unpack(packages: Sequence[Path], folder: Path) -> None:
    """Unpack the files of ``packages`` under ``folder``, as if it were the root.

    Raises:
        MissingDependencyError: this is not Debian, or a package is damaged.
    """
    dpkg = _program("dpkg")
    folder.mkdir(parents=True, exist_ok=True)
    for package in packages:
        ended = one_shot.run([dpkg, "-x", str(package), str(folder)])
        if ended.failure:
            raise MissingDependencyError(
                f"dpkg can't unpack {package.name} ({one_line(ended.stderr)}): try again"
            )


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise MissingDependencyError(
            f"this is fetched as a package of Debian, and {name} is not installed: run it on Debian"
        )
    return path
