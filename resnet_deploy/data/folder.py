"""Datasets that are folders of image files: ``DIR/<class>/*.jpg``."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from resnet_deploy.data.images import IMAGE_SUFFIXES, read_image
from resnet_deploy.errors import DatasetError

EVALUATION_SPLITS = ("test", "val", "valid", "validation")
"""Folders of test images beside ``train``, the first one that is there counts."""

_TRAINING_SPLITS = ("train", *reversed(EVALUATION_SPLITS))


@dataclass(frozen=True, kw_only=True)
class ImageFolder:
    """Image files below ``root``; ``files`` are relative, sorted, with forward slashes.

    ``labels`` is empty when the files lie in no class folders.
    """

    name: str
    root: Path
    files: tuple[str, ...]
    labels: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()

    @property
    def labelled(self) -> bool:
        """Whether the files lie in class folders."""
        return bool(self.labels)

    def __len__(self) -> int:
        return len(self.files)

    def image(self, index: int) -> Image.Image:
        """Decode one image into RGB.

        Raises:
            DatasetError: the file can't be read.
        """
        return read_image(self.root / self.files[index])

    def label(self, index: int) -> int:
        """Return the class index of one image.

        Raises:
            DatasetError: there are no class folders.
        """
        if not self.labels:
            raise DatasetError(f"{self.root} has no class folders, so its images have no labels")
        return self.labels[index]

    def fingerprint(self) -> str:
        """Return the SHA-256 of all names and sizes; contents are not read."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(f"{file}\0{(self.root / file).stat().st_size}\n".encode())
        return digest.hexdigest()


def open_folder(root: Path, *, train: bool = False) -> ImageFolder:
    """Open a folder of images.

    Class folders are sorted by name, as torchvision's ``ImageFolder`` does; images may lie
    deeper inside them. A folder that holds ``test/`` or ``val/`` with class folders inside
    stands for that one, and for ``train/`` when ``train`` is set. Images beside class folders
    are ignored; hidden files always are.

    Raises:
        DatasetError: no images, only training images where others are asked for, or a link
            that leads out of the folder.
    """
    name = root.resolve().name
    found = [split for split in _TRAINING_SPLITS if _is_split(root, root / split)]
    for split in _TRAINING_SPLITS if train else EVALUATION_SPLITS:
        if split in found:
            return _open(root / split, f"{name}/{split}")
    if found:
        raise DatasetError(
            f"{root} holds {found[0]}/ but no test/ or val/ with class folders: name the folder "
            "that holds the class folders"
        )
    return _open(root, name)


def image_files(folder: Path) -> tuple[Path, ...]:
    """Return all image files below ``folder``, sorted by path; hidden ones are left out.

    Raises:
        DatasetError: there are none, or a link leads out of the folder.
    """
    files = _list(folder)
    if not files:
        raise DatasetError(f"{folder} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return tuple(folder / file for file in files)


def _open(root: Path, name: str) -> ImageFolder:
    files = _list(root)
    if not files:
        raise DatasetError(
            f"{root} holds no images: expected DIR/<class>/*.jpg, CIFAR batches or IDX files"
        )
    inside = tuple(file for file in files if "/" in file)
    if not inside:
        return ImageFolder(name=name, root=root, files=tuple(files))
    folders = [file.partition("/")[0] for file in inside]
    classes = tuple(sorted(set(folders)))
    index = {name: i for i, name in enumerate(classes)}
    labels = tuple(index[folder] for folder in folders)
    return ImageFolder(name=name, root=root, files=inside, labels=labels, classes=classes)


def _is_split(root: Path, folder: Path) -> bool:
    """Whether ``folder`` holds class folders: a class called ``test`` holds images itself."""
    if not folder.is_dir():
        return False
    _refuse_outside(root.resolve(), folder)
    return any(_holds_images(child) for child in folder.iterdir() if not child.name.startswith("."))


def _holds_images(folder: Path) -> bool:
    """Whether an image lies somewhere below; stops at the first, as splits can be large."""
    if not folder.is_dir() or folder.is_symlink():
        return False
    names = (name for _, _, files in os.walk(folder) for name in files)
    return any(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in names)


def _list(root: Path) -> list[str]:
    """Return the relative paths of all images below ``root``, sorted."""
    real, files, pending = root.resolve(), [], [root]
    try:
        while pending:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    path = Path(entry.path)
                    if entry.name.startswith("."):
                        continue
                    image = path.suffix.lower() in IMAGE_SUFFIXES
                    if entry.is_symlink() and (image or entry.is_dir()):
                        _refuse_outside(real, path)
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(path)
                    elif image and not entry.is_dir():
                        files.append(path.relative_to(root).as_posix())
    except OSError as error:
        raise DatasetError(f"cannot list {error.filename}: {error.strerror}") from error
    return sorted(files)


def _refuse_outside(real_root: Path, path: Path) -> None:
    if path.is_symlink() and not path.resolve().is_relative_to(real_root):
        raise DatasetError(
            f"{path} is a link that leads out of the dataset: copy what it points to, or name "
            "that folder itself"
        )
