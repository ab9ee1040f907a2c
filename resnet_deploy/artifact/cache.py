"""The cache folder of downloads, calibrations and emulators: trusted, and so private."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from resnet_deploy.errors import ArtifactError

CACHE_VARIABLE = "RESNET_DEPLOY_CACHE"

_PRIVATE = 0o700


def cache_folder() -> Path:
    """Return where downloads and calibrations are kept: as the environment says, or XDG.

    Programs are run from it. So one that others could have put something into is not used. Who may
    write in a folder that ``RESNET_DEPLOY_CACHE`` names is the business of who named it, as long as
    not everybody may.

    Raises:
        ArtifactError: everybody may write in it, or it is another user's; there is no home folder.
    """
    folder = _named() or _usual()
    if hasattr(os, "getuid") and folder.is_dir():
        _check_owner(folder)
    return folder


def make_cache_for(path: Path) -> None:
    """Make the cache folder for its user alone, if ``path`` is to be written in it.

    Where that fails, writing will say why.
    """
    folder = _named() or _usual()
    if path != folder and folder not in path.parents:
        return
    with contextlib.suppress(OSError):
        folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        if _named() is None and stat.S_IMODE(folder.stat().st_mode) != _PRIVATE:
            folder.chmod(_PRIVATE)


def _named() -> Path | None:
    own = os.environ.get(CACHE_VARIABLE)
    return Path(own) if own else None


def _usual() -> Path:
    shared = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(shared) if shared else Path.home() / ".cache") / "resnet-deploy"
    except RuntimeError as error:  # no HOME, and no such user, as in many containers
        raise ArtifactError(
            f"there is no home folder to keep a cache in: set {CACHE_VARIABLE} to a folder of your "
            "own"
        ) from error


def _check_owner(folder: Path) -> None:
    found = folder.stat()
    if _named() is None and found.st_uid != os.getuid():
        raise ArtifactError(
            f"the cache folder {folder} belongs to another user: set {CACHE_VARIABLE} to a folder "
            "of your own"
        )
    if found.st_mode & stat.S_IWOTH:
        raise ArtifactError(
            f"everybody may write in the cache folder {folder}, and what it holds is trusted: "
            f"chmod 700 it, or set {CACHE_VARIABLE} to a folder of your own"
        )
