"""What a dataset is, and how a path becomes one, whatever its format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from PIL import Image

from resnet_deploy.data.archives import is_tar
from resnet_deploy.data.cifar import is_cifar_folder, open_cifar
from resnet_deploy.data.folder import ARCHIVES, ImageFolder, open_folder
from resnet_deploy.data.idx import is_idx_folder, open_idx
from resnet_deploy.data.listing import Tree
from resnet_deploy.data.npz import open_npy, open_npz
from resnet_deploy.data.parquet import open_parquet, parquet_files
from resnet_deploy.data.places import Place, called, expanded
from resnet_deploy.data.remote import Remote
from resnet_deploy.data.splits import check_whole, is_split, of_part, wanted_split
from resnet_deploy.data.tar import open_tar
from resnet_deploy.data.trees import files_called, tree_of
from resnet_deploy.errors import DatasetError

_DEEPEST = 8
"""How many folders in folders are looked through."""


class Dataset(Protocol):
    """Images in a fixed order, with or without their classes.

    :meth:`image` may be called from several threads at once.
    """

    @property
    def name(self) -> str:
        """What to call it: the last part of its path."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; empty when unlabelled."""

    @property
    def labelled(self) -> bool:
        """Whether :meth:`label` has an answer."""

    def __len__(self) -> int: ...

    def image(self, index: int) -> Image.Image:
        """Return one image in RGB, or RGBA where it has transparency."""

    def label(self, index: int) -> int:
        """Return the index in :attr:`classes` of one image."""

    def fingerprint(self) -> str:
        """Return a SHA-256 that changes with the data, not with the place it lies in."""


@runtime_checkable
class NamedDataset(Dataset, Protocol):
    """Images that have names where they lie, and not numbers only."""

    @property
    def names(self) -> Sequence[str]:
        """What each image is called, the same on every machine."""

    def content(self, index: int) -> str:
        """Return a text that changes with the bytes of one image."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A path or URL to open, and how: see :func:`open_dataset`.

    It is opened once: large folders take time to list, and warnings are read once. A copy in
    another process, to which it is sent as where and how, opens it anew.
    """

    path: Place
    labels_file: Place | None = None
    follow_links: bool = False
    _opened: dict[bool, Dataset] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __reduce__(self) -> tuple[Any, ...]:
        return _source, (self.path, self.labels_file, self.follow_links)

    def open(self, *, train: bool) -> Dataset:
        """Return the dataset; see :func:`open_dataset`."""
        other = self._opened.get(not train)
        if isinstance(other, ImageFolder) and not other.split and other.labels_file is None:
            return other  # a folder without parts is the same for both
        if train not in self._opened:
            self._opened[train] = open_dataset(
                self.path,
                train=train,
                labels_file=self.labels_file,
                follow_links=self.follow_links,
            )
        return self._opened[train]


def _source(path: Place, labels_file: Place | None, follow_links: bool) -> Source:
    return Source(path=path, labels_file=labels_file, follow_links=follow_links)


Data = Path | Remote | Source | Dataset
"""Where images come from: what :func:`open_dataset` takes, or what it returned."""


def opened(data: Data, *, train: bool = False) -> Dataset:
    """Return the dataset that ``data`` is, or tells where to find; see :func:`open_dataset`."""
    if isinstance(data, Source):
        return data.open(train=train)
    return open_dataset(data, train=train) if isinstance(data, Path | Remote) else data


def open_dataset(
    path: Place,
    *,
    train: bool = False,
    labels_file: Place | None = None,
    follow_links: bool = False,
) -> Dataset:
    """Open a dataset: an image folder, CIFAR python batches, IDX, ``.npz``, parquet or tar files.

    Where a path holds training and test images, the test images are meant; with ``train``, as
    for calibration, the training images. ``labels_file`` and ``follow_links`` are for image
    folders: see :func:`~resnet_deploy.data.folder.open_folder`. A name with ``{000..099}`` stands
    for that many files.

    Raises:
        DatasetError: nothing there, an unknown format, or damaged data.
        MissingDependencyError: parquet or a URL, and the package that reads it is not installed.
    """
    several = expanded(path) if "{" in path.name and not path.exists() else ()
    if not several and not path.exists():
        raise DatasetError(f"{path} does not exist: name a folder of images or a dataset file")
    try:
        if several:
            return _open_files(path, several, train=train, labels_file=labels_file)
        if path.is_dir():
            found = _open_many(
                path, train=train, labels_file=labels_file, follow_links=follow_links
            )
            return found or open_folder(
                path, train=train, labels_file=labels_file, follow_links=follow_links
            )
        if path.is_file() and is_tar(path):
            return open_tar(path.name, [path], train=train, labels_file=labels_file)
        if labels_file is not None:
            raise DatasetError(f"{path} is not a folder of images, which labels in a file are for")
        return _open_file(path, train=train)
    except OSError as error:
        raise DatasetError(f"cannot read {error.filename or path}: {error.strerror}") from error


def _open_many(
    path: Place, *, train: bool, labels_file: Place | None, follow_links: bool
) -> Dataset | None:
    """Open a folder of files that hold many images each; None if it is none."""
    tree, place, name = tree_of(path, follow_links=follow_links), path, called(path)
    for _ in range(_DEEPEST):
        tars = tar_files(place, tree, train=train)
        for tar in tars:
            tree.check(str(tar))
        if tars:
            name, tars = of_part(name, tars, _words, train=train)
            check_whole(name, tars)
            return open_tar(name, tars, train=train, labels_file=labels_file)
        files = () if labels_file else parquet_files(place)
        for file in files:
            tree.check(str(file))
        if files:
            return open_parquet(name, files, train=train, whole=True)
        if not isinstance(place, Path):
            return None
        if labels_file is None and (is_cifar_folder(place) or is_idx_folder(place)):
            for entry in place.iterdir():
                tree.check(str(entry))
            return (open_cifar if is_cifar_folder(place) else open_idx)(place, train=train)
        inside = [entry for entry in place.iterdir() if not entry.name.startswith(".")]
        if len(inside) != 1 or not inside[0].is_dir():
            return None
        tree.check(str(inside[0]))
        place = inside[0]
    return None


def tar_files(folder: Place, tree: Tree, *, train: bool) -> Sequence[Place]:
    """Return the tar archives in a folder, or in that of the part that is wanted.

    Where images lie as well, they are what was unpacked of the archives, and none is returned.
    """
    found = files_called(folder, ".tar")
    if not found:
        parts = {place.name: place for place in tree.folders(folder) if is_split(place.name)}
        filled = {name: files_called(place, ".tar") for name, place in parts.items()}
        wanted = wanted_split([name for name, files in filled.items() if files], train=train)
        found = () if wanted is None else filled[wanted]
    return () if found and tree.holds_images(folder) else found


def _words(stem: str) -> list[str]:
    return re.split(r"[^A-Za-z]+", stem)


def _open_files(
    path: Place, files: Sequence[Place], *, train: bool, labels_file: Place | None
) -> Dataset:
    """Open files of one kind, which a name with ranges stands for."""
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None:
        why = "is not a file" if missing.exists() else "does not exist"
        raise DatasetError(f"{missing} {why}, and {path} stands for it: name others")
    if path.suffix.lower() == ".tar":
        return open_tar(path.name, files, train=train, labels_file=labels_file)
    if path.suffix.lower() != ".parquet":
        raise DatasetError(f"{path} stands for several files, which is for .tar and .parquet")
    return open_parquet(path.name, files, train=train)


def _open_file(path: Place, *, train: bool) -> Dataset:
    """Tell the format by content: CIFAR batches and IDX files have no suffix of their own."""
    if not path.is_file():
        raise DatasetError(f"{path} is neither a file nor a folder")
    if path.name.lower().endswith(ARCHIVES):
        raise DatasetError(
            f"{path} is an archive: unpack it first, and name the folder; a .tar that is not "
            "compressed is read as it is"
        )
    with path.open("rb") as stream:
        head = stream.read(4)
    if head == b"PAR1" or path.suffix.lower() == ".parquet":
        return open_parquet(path.name, [path], train=train)
    if not isinstance(path, Path):
        raise DatasetError(
            f"{path} is not a folder of images, parquet or .tar: copy other files to this machine"
        )
    if head[:2] == b"PK":
        return open_npz(path, train=train)
    if head == b"\x93NUM":
        return open_npy(path)
    if head[:2] == b"\x80\x02" or (head[:1] == b"\x80" and head[1:2] <= b"\x05"):
        return open_cifar(path, train=train)
    if head[:2] in (b"\x00\x00", b"\x1f\x8b"):
        return open_idx(path, train=train)
    raise DatasetError(
        f"{path} is not a dataset that can be read (image folder, CIFAR python batch, IDX file, "
        ".npz, .npy, parquet): name the folder, or unpack the archive first"
    )
