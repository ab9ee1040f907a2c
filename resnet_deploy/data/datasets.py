"""What a dataset is, and how a path becomes one, whatever its format."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from PIL import Image

from resnet_deploy.data.cifar import is_cifar_folder, open_cifar
from resnet_deploy.data.folder import open_folder
from resnet_deploy.data.idx import is_idx_folder, open_idx
from resnet_deploy.data.npz import open_npz
from resnet_deploy.errors import DatasetError


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
        """Return one image in RGB."""

    def label(self, index: int) -> int:
        """Return the index in :attr:`classes` of one image."""

    def fingerprint(self) -> str:
        """Return a SHA-256 that changes with the data, not with the place it lies in."""


Data = Path | Dataset
"""Where images come from: a path that :func:`open_dataset` takes, or what it returned."""


def opened(data: Data, *, train: bool = False) -> Dataset:
    """Return the dataset that ``data`` is, or is the path of; see :func:`open_dataset`."""
    return open_dataset(data, train=train) if isinstance(data, Path) else data


def open_dataset(path: Path, *, train: bool = False) -> Dataset:
    """Open a dataset: an image folder, CIFAR python batches, IDX files, or an ``.npz`` file.

    Where a path holds training and test images, the test images are meant; with ``train``, as
    for calibration, the training images.

    Raises:
        DatasetError: nothing there, an unknown format, or damaged data.
    """
    if not path.exists():
        raise DatasetError(f"{path} does not exist: name a folder of images or a dataset file")
    try:
        if not path.is_dir():
            return _open_file(path, train=train)
        if is_cifar_folder(path):
            return open_cifar(path, train=train)
        if is_idx_folder(path):
            return open_idx(path, train=train)
        return open_folder(path, train=train)
    except OSError as error:
        raise DatasetError(f"cannot read {error.filename or path}: {error.strerror}") from error


def _open_file(path: Path, *, train: bool) -> Dataset:
    """Tell the format by content: CIFAR batches and IDX files have no suffix of their own."""
    if not path.is_file():
        raise DatasetError(f"{path} is neither a file nor a folder")
    with path.open("rb") as stream:
        head = stream.read(4)
    if head[:2] == b"PK":
        return open_npz(path, train=train)
    if head[:2] == b"\x80\x02" or (head[:1] == b"\x80" and head[1:2] <= b"\x05"):
        return open_cifar(path, train=train)
    if head[:2] in (b"\x00\x00", b"\x1f\x8b"):
        return open_idx(path, train=train)
    raise DatasetError(
        f"{path} is no dataset that can be read (image folder, CIFAR python batch, IDX file, "
        ".npz): name the folder, or unpack the archive first"
    )
