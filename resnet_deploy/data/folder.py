"""Datasets that are folders of image files: ``DIR/<class>/*.jpg``, or with labels in a file.

A little long: what a folder of pictures can mean, and what is wrong with one, is said in one place.
"""

from __future__ import annotations

import hashlib
import logging
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from resnet_deploy.artifact.files import sha256_of
from resnet_deploy.data.archives import Inside
from resnet_deploy.data.image_labels import ImageLabels, label_images
from resnet_deploy.data.images import read_image
from resnet_deploy.data.labels import class_order
from resnet_deploy.data.listing import Listing, Tree, counted, first_few
from resnet_deploy.data.names import Names, NamesBuilder
from resnet_deploy.data.places import Place, called
from resnet_deploy.data.splits import EVALUATION_SPLITS, TRAINING_SPLITS, find_part
from resnet_deploy.data.trees import Links, tree_of
from resnet_deploy.errors import DatasetError

logger = logging.getLogger(__name__)

_FOUND = ("metadata.csv", "metadata.jsonl", "labels.csv", "annotations.csv", "labels.txt")
"""Names of files with labels, beside the images, that are taken without being asked for."""

ARCHIVES = (".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst", ".zip", ".7z", ".rar")
"""How the names of archives end, in lower case."""


@dataclass(frozen=True, kw_only=True)
class ImageFolder:
    """Image files below ``root``; ``files`` are relative, sorted, with forward slashes.

    ``labels`` is empty when nothing tells them. ``split`` is the name of the part of a dataset
    that this is, as its folder is called, or empty. ``labels_file`` is where the labels were
    read, if not from folders.
    """

    name: str
    root: Place
    files: Names
    labels: array[int] = field(default_factory=lambda: array("i"))
    classes: tuple[str, ...] = ()
    split: str = ""
    labels_file: Place | None = None

    @property
    def labelled(self) -> bool:
        """Whether the classes of the images are known."""
        return bool(self.labels)

    @property
    def names(self) -> Names:
        """What each image is called: its path below the folder."""
        return self.files

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
            DatasetError: there are no labels.
        """
        if not self.labels:
            raise DatasetError(f"{self.root} has no class folders, so its images have no labels")
        return self.labels[index]

    def part(self, indices: Sequence[int]) -> ImageFolder:
        """Return the images ``indices``, which ascend, without their labels."""
        chosen = NamesBuilder()
        for index in indices:
            chosen.add(self.files[index], self.files.stamp(index))
        files, root = chosen.done(), self.root
        if isinstance(root, Path):
            root = root.absolute()
        elif isinstance(root, Inside):
            root = root.holding(files)
        return ImageFolder(name=self.name, root=root, files=files)

    def fingerprint(self) -> str:
        """Return the SHA-256 of all names, sizes and labels from a file; images are not read.

        It is the same wherever they lie: sizes of remote files are those that their server listed.
        """
        digest = hashlib.sha256()
        for name, stamp in self.files.stamped():
            size = stamp.partition(" ")[0] if stamp else (self.root / name).stat().st_size
            digest.update(f"{name}\0{size}\n".encode(errors="surrogateescape"))
        if self.labels_file is not None:
            digest.update(f"{self.classes}\0{tuple(self.labels)}".encode())
        return digest.hexdigest()

    def content(self, index: int) -> str:
        """Return what changes with the bytes of one image: their SHA-256, or a server's ETag.

        Raises:
            DatasetError: it can't be read.
        """
        place = self.root / self.files[index]
        if isinstance(place, Path):
            try:
                return sha256_of(place)
            except OSError as error:
                raise DatasetError(f"cannot read image {place}: {error.strerror}") from error
        etag = self.files.stamp(index).partition(" ")[2]
        return etag or hashlib.sha256(place.read_bytes()).hexdigest()


def open_folder(
    root: Place,
    *,
    train: bool = False,
    labels_file: Place | None = None,
    follow_links: bool = False,
) -> ImageFolder:
    """Open a folder of images.

    Class folders are sorted by name, as torchvision's ``ImageFolder`` does, but by number when
    all names are numbers; images may lie deeper inside them. A folder that holds ``test/``,
    ``Validation/`` or the like stands for that one, and for ``train/`` when ``train`` is set; one
    that holds nothing but another folder stands for that. What is left out, such as images beside
    class folders, is named in a warning; hidden files are not.

    Args:
        root: the folder.
        train: take the training images.
        labels_file: labels of images, as :func:`~resnet_deploy.data.image_labels.label_images`
            reads them. Without, they are looked for beside images that lie in no class folders.
        follow_links: enter links, also those that lead out of the folder.

    Raises:
        DatasetError: no images, only training images where others are asked for, or a link
            that leads out of the folder.
    """
    links = tree_of(root, follow_links=follow_links)
    name = called(root)
    if labels_file is not None:
        return _with_labels(root, name, labels_file, links, train=train)
    place, split = find_part(root, links, train=train)
    listing = links.list(place)
    if not listing.images:
        raise DatasetError(_why_empty(root, listing))
    folder = _labels_found(root, listing, split, links, train=train)
    if folder is None:
        folder = _in_class_folders(listing)
        if split and not train:
            folder = _with_trained_classes(folder, place, split, links)
    _tell_left_out(listing, folder, links)
    return replace(folder, name=f"{name}/{split}" if split else name, split=split)


def image_files(folder: Path, *, follow_links: bool = False) -> tuple[Path, ...]:
    """Return all image files below ``folder``, sorted by path; hidden ones are left out.

    Raises:
        DatasetError: there are none, or a link leads out of the folder.
    """
    listing = Links(folder, follow_links).list(folder)
    if not listing.images:
        raise DatasetError(
            f"{folder} holds no images (.jpg, .png, .webp, … or what Pillow can read)"
        )
    _tell_others(listing.others)
    return tuple(folder / file for file in listing.images)


def _in_class_folders(listing: Listing) -> ImageFolder:
    found: set[str] = set()
    beside = False
    for file in listing.images:
        folder, slash, _ = file.partition("/")
        if slash:
            found.add(folder)
        else:
            beside = True
    if not found:
        return ImageFolder(name="", root=listing.root, files=listing.images)
    inside = listing.images.kept(lambda file: "/" in file) if beside else listing.images
    classes = class_order(found)
    index = {name: i for i, name in enumerate(classes)}
    labels = array("i", (index[file.partition("/")[0]] for file in inside))
    return ImageFolder(name="", root=listing.root, files=inside, labels=labels, classes=classes)


def _with_trained_classes(
    folder: ImageFolder, place: Place, split: str, links: Tree
) -> ImageFolder:
    """Return test images with the classes of the training images, if theirs are among them.

    A class without a test image would shift those behind it.
    """
    beside = next(above for above in (place, *place.parents) if above.name == split).parent
    names = [part.name for part in links.folders(beside) if part.name.casefold() in TRAINING_SPLITS]
    if not names or not folder.labels:
        return folder
    kinds = links.folders(beside / names[0])
    if not set(folder.classes) < {kind.name for kind in kinds}:
        return folder
    trained = [kind.name for kind in kinds if links.holds_images(kind)]
    if not set(folder.classes) < set(trained):
        return folder
    classes = class_order(trained)
    places = [classes.index(name) for name in folder.classes]
    labels = array("i", (places[label] for label in folder.labels))
    return replace(folder, classes=classes, labels=labels)


def _with_labels(
    root: Place, name: str, labels_file: Place, links: Tree, *, train: bool
) -> ImageFolder:
    """Open the part that is wanted with the labels in a file, or the whole if they name that."""
    try:
        place, split = find_part(root, links, train=train)
        if place != root:
            listing = links.list(place)
            found = label_images(labels_file, listing, train=train)
            return _labelled(
                f"{name}/{split}" if split else name, listing, found, labels_file, split
            )
    except DatasetError as error:
        logger.info("%s is taken whole: %s", root, error)
    listing = links.list(root)
    if not listing.images:
        raise DatasetError(_why_empty(root, listing))
    return _labelled(name, listing, label_images(labels_file, listing, train=train), labels_file)


def _labels_found(
    root: Place, listing: Listing, split: str, links: Tree, *, train: bool
) -> ImageFolder | None:
    """Return images with the labels in a file that lies beside them, if they need one."""
    if len({file.partition("/")[0] for file in listing.images if "/" in file}) > 1:
        return None
    place = listing.root
    files = [place / name for name in _in_order(listing.others, split, train=train)]
    if place != root and split:
        names = [name for name in (*_FOUND, *_of_split(split)) if (root / name).is_file()]
        files += [root / name for name in names]
    for number, file in enumerate(files):
        links.check(str(file))
        try:
            found = label_images(file, listing, train=train)
        except DatasetError as error:
            logger.warning("no labels are read from %s: %s", file.name, error)
            continue
        unread = [other.name for other in files[number + 1 :]]
        more = f"; not from {first_few(unread)} (--labels-file FILE)" if unread else ""
        logger.warning("labels are read from %s%s", file.name, more)
        return _labelled("", listing, found, file)
    return None


def _labelled(
    name: str, listing: Listing, found: ImageLabels, labels_file: Place, split: str = ""
) -> ImageFolder:
    return ImageFolder(
        name=name,
        root=listing.root,
        files=found.files,
        labels=found.labels,
        classes=found.classes,
        split=split,
        labels_file=labels_file,
    )


def _in_order(others: Sequence[str], split: str, *, train: bool) -> list[str]:
    """Return which of the files beside images may hold their labels, the likeliest first."""
    parts = TRAINING_SPLITS if train else EVALUATION_SPLITS
    likely = [*_FOUND, *_of_split(split), *(name for part in parts for name in _of_split(part))]
    beside = {name.casefold(): name for name in others if "/" not in name}
    named = [beside[name] for name in dict.fromkeys(likely) if name in beside]
    unlikely = (*(EVALUATION_SPLITS if train else TRAINING_SPLITS), "sample_submission")
    tables = [name for key, name in beside.items() if key.endswith(".csv") and name not in named]
    return named + sorted(tables, key=lambda name: name.casefold().startswith(unlikely))


def _of_split(split: str) -> tuple[str, ...]:
    key = split.casefold()
    return (f"{key}.csv", f"{key}.txt", f"{key}_labels.csv") if key else ()


def _tell_left_out(listing: Listing, folder: ImageFolder, links: Tree) -> None:
    if folder.labels_file is None and folder.labels:
        beside = listing.images.kept(lambda file: "/" not in file)
        if beside:
            count = counted(len(beside), "image lies", "images lie")
            logger.warning("%s beside the class folders: %s", count, first_few(beside))
        filled = {file.partition("/")[0] for file in folder.files}
        empty = [kind.name for kind in links.folders(listing.root) if kind.name not in filled]
        if empty:
            count = counted(len(empty), "folder holds", "folders hold")
            logger.warning("%s no image that can be read: %s", count, first_few(empty))
    used = folder.labels_file
    others = listing.others
    if used is not None:
        others = others.kept(lambda file: listing.root / file != used)
    _tell_others(others)
    if listing.unentered:
        count = counted(len(listing.unentered), "linked folder is", "linked folders are")
        logger.warning(
            "%s not entered (--follow-links does): %s", count, first_few(listing.unentered)
        )


def _tell_others(others: Sequence[str]) -> None:
    if others:
        count = counted(len(others), "file is not an image", "files are not images")
        logger.warning("%s that can be read: %s", count, first_few(others))


def _why_empty(root: Place, listing: Listing) -> str:
    archives = [name for name in listing.others if name.lower().endswith(ARCHIVES)]
    if archives:
        return f"{root} holds archives and no images ({first_few(archives)}): unpack them first"
    others = f", but {first_few(listing.others)}" if listing.others else ""
    if isinstance(root, Inside):
        expected = "pack DIR/<class>/*.jpg, or pictures and files of labels (.cls, .txt, .json)"
        return f"{root}, an archive, holds no images{others}: {expected}"
    return f"{root} holds no images{others}: expected DIR/<class>/*.jpg, CIFAR batches or IDX files"
