"""Writing a bundle into a folder without overwriting files that are not a bundle's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from resnet_deploy.artifact.files import sha256_of, write_together
from resnet_deploy.bundles.manifest import MANIFEST_FILE, listed_files
from resnet_deploy.errors import ArtifactError


def check_folder(folder: Path, *, force: bool) -> None:
    """Refuse a folder in which a bundle would replace other work, unless ``force``.

    An older bundle is replaced when its files are as they were written. Other files, such as what a
    build made, stay as they are.

    Raises:
        ArtifactError: ``folder`` is a file, holds something that is no bundle, or holds a bundle
            whose files were changed by hand.
    """
    if folder.exists() and not folder.is_dir():
        raise ArtifactError(f"{folder} is a file: name a folder with -o")
    # A full disk may have left empty folders behind.
    if force or not any(path.is_file() for path in folder.rglob("*")):
        return
    listed = listed_files(folder)
    if listed is None:
        raise ArtifactError(
            f"{folder} is not empty and holds no bundle: name another folder with -o, or --force "
            "to write into it"
        )
    changed = [
        name
        for name, digest in listed.items()
        if (folder / name).is_file() and sha256_of(folder / name) != digest
    ]
    if changed:
        raise ArtifactError(
            f"{folder / sorted(changed)[0]} was changed since it was written: move your changes "
            "away, or --force to replace them"
        )


def write_folder(folder: Path, files: Mapping[str, bytes], *, force: bool = False) -> None:
    """Write ``files``, the manifest among them, and remove what an older bundle leaves behind.

    Raises:
        ArtifactError: a file can't be written, or would replace one that is of no bundle and
            ``force`` is not given; the older bundle is then as it was.
    """
    listed = listed_files(folder) or {}
    for name, data in files.items():
        path = folder / name
        foreign = name not in listed and name != MANIFEST_FILE and path.is_file()
        if foreign and not force and path.read_bytes() != data:
            raise ArtifactError(
                f"{path} was not written by resnet-deploy: move it away, or --force to replace it"
            )
    stale = set(listed) - set(files)
    # The manifest comes last: a folder with a manifest holds all that it lists.
    ordered = sorted(files, key=lambda name: (name == MANIFEST_FILE, name))
    write_together({folder / name: files[name] for name in ordered})
    for name in stale:
        path = folder / name
        if path.is_file() or path.is_symlink():
            path.unlink()
            _remove_empty(path.parent, folder)


def _remove_empty(path: Path, top: Path) -> None:
    """Remove ``path`` and the folders above it, up to ``top``, as long as they are empty.

    Triton takes every folder in its repository for a model.
    """
    while path != top and not any(path.iterdir()):
        path.rmdir()
        path = path.parent
