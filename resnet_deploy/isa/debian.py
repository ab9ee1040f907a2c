"""Debian packages of any architecture, downloaded and unpacked without root."""

from __future__ import annotations

import os
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
Debug::NoLocking "true";
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Log "{folder}/log";
"""
"""Hooks of the machine are cleared, its sources and keys stay. No package counts as installed, so
that a download brings everything that its packages depend on."""


class PrivateApt:
    """The machine's own package sources, with all of apt's state in a private folder.

    Args:
        folder: an existing empty folder.
        architectures: Debian's names; the first is that of packages named without one.

    Raises:
        MissingDependencyError: this is no Debian.
    """

    def __init__(self, folder: Path, architectures: Sequence[str]) -> None:
        self._apt = _program("apt-get")
        self._folder = folder
        for name in ("state/lists/partial", "cache/archives/partial", "log"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "apt.conf").write_text(
            _CONFIGURATION.format(
                first=architectures[0],
                architectures=" ".join(f'"{name}";' for name in architectures),
                folder=folder,
            ),
            encoding="utf-8",
        )
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
            reasons = [*self._warnings, *_complaints(ended.stderr), "no reason given"]
            raise MissingDependencyError(
                f"apt-get can't download {' '.join(packages)} ({reasons[0]}): check the network "
                "and the machine's package sources"
            )
        return sorted(archives.glob("*.deb"))

    def _run(self, *arguments: str) -> one_shot.Ended:
        return one_shot.run(
            [self._apt, "-q", "-c", str(self._folder / "apt.conf"), *arguments],
            environment={**os.environ, "LC_ALL": "C"},
        )


def _complaints(stderr: str) -> list[str]:
    lines = [" ".join(line.split()) for line in stderr.splitlines()]
    return [line[:300] for line in lines if line.startswith(("E:", "W: Failed"))]


def unpack(packages: Sequence[Path], folder: Path) -> None:
    """Unpack the files of ``packages`` under ``folder``, as if it were the root.

    Raises:
        MissingDependencyError: this is no Debian, or a package is damaged.
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
            f"emulators are fetched as Debian packages, and {name} is not installed: use Debian, "
            "or verify on a machine of that ISA"
        )
    return path
