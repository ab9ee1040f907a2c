"""Datasets in tar archives: WebDataset's shards, and folders of images that were packed.

https://github.com/webdataset/webdataset: files of one sample follow each other and are called the
same up to the first dot; ``.cls``, ``.json`` and ``.txt`` tell its label. Archives are read once,
header by header, to find the images; then each image is read where it lies.
"""

from __future__ import annotations

import logging
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import IO

from resnet_deploy.data.archives import Archive, Inside
from resnet_deploy.data.folder import ImageFolder, open_folder
from resnet_deploy.data.image_labels import check_counts, label_of
from resnet_deploy.data.images import has_image_suffix
from resnet_deploy.data.labels import class_order
from resnet_deploy.data.listing import counted, is_hidden
from resnet_deploy.data.names import NamesBuilder
from resnet_deploy.data.places import Place
from resnet_deploy.data.tar_members import Member, tar_members
from resnet_deploy.errors import DatasetError
from resnet_deploy.plain_values import strict_json
from resnet_deploy.visible import visible_line

logger = logging.getLogger(__name__)

_LABELS = ("cls", "json", "txt")
"""Suffixes of what tells a label; the first that a dataset has counts."""

_LARGEST_LABEL = 64 << 10
"""Bytes of such a file."""

_LONGEST_LABEL = 200
"""Letters of the name of a class; what is longer describes a picture."""


@dataclass
class _Sample:
    """The pictures that are called the same up to the first dot, and the files beside them.

    ``doubled`` are the suffixes of which there are two.
    """

    key: str
    pictures: list[Member] = field(default_factory=list)
    beside: dict[str, Member] = field(default_factory=dict)
    doubled: set[str] = field(default_factory=set)


def open_tar(
    name: str,
    files: Sequence[Place],
    *,
    train: bool = False,
    labels_file: Place | None = None,
) -> ImageFolder:
    """Open images in tar archives, as many as there are shards.

    Files beside the first picture that tell its label make them WebDataset's. Otherwise the
    archives are what they would be unpacked into one folder: see
    :func:`~resnet_deploy.data.folder.open_folder`.

    Raises:
        DatasetError: an archive is damaged, holds a link to an image, no images, two of one name,
            or labels that can't be read or of which some are missing.
    """
    shards = _Shards(name, tuple(files))
    kind, flat = _told(shards)
    if kind and labels_file is None:
        return _labelled(shards, kind)
    prefixed = len(files) > 1 and flat
    archive = _archive(shards, prefixed=prefixed)
    found = open_folder(Inside(archive), train=train, labels_file=labels_file)
    if prefixed and found.labels_file is None:  # which archive a picture is in is not a class
        return replace(found, labels=array("i"), classes=())
    return found


def _told(shards: _Shards) -> tuple[str, bool]:
    """Return which file tells the label of the first picture, and whether that is in no folder."""
    for shard, sample, stream in shards.samples():
        if sample.pictures:
            kinds = (kind for kind in _LABELS if shards.label(shard, sample, stream, kind))
            return next(kinds, ""), "/" not in sample.key
    return "", False


class _Shards:
    """Archives that are read from front to back."""

    def __init__(self, name: str, places: tuple[Place, ...]) -> None:
        self.name = name
        self.places = places
        statuses = [place.stat() for place in places]
        self.sizes = tuple(status.st_size for status in statuses)
        self.etags = tuple(str(getattr(status, "etag", "")) for status in statuses)

    def called(self, shard: int) -> str:
        """Return what the names of a shard's images begin with."""
        return f"{self.places[shard].name}/" if len(self.places) > 1 else ""

    def members(self, shard: int, stream: IO[bytes]) -> Iterator[Member]:
        """Yield the files of one shard; hidden ones are left out.

        Raises:
            DatasetError: it is damaged, or a link or what lies outside is called as an image.
        """
        for member in tar_members(stream, self.sizes[shard], str(self.places[shard])):
            if ".." in member.name.split("/") and has_image_suffix(member.name):
                raise DatasetError(
                    f"{self.places[shard]}: {visible_line(member.name)} leads out of the archive: "
                    "pack it from the folder that holds it"
                )
            if is_hidden(member.name):
                continue
            if not member.is_link:
                yield member
            elif has_image_suffix(member.name):
                raise DatasetError(
                    f"{self.places[shard]}: {visible_line(member.name)} is a link: pack what it "
                    "points to (tar --dereference --hard-dereference)"
                )

    def samples(self) -> Iterator[tuple[int, _Sample, IO[bytes]]]:
        """Yield the samples of all shards, each with the number of its shard and a stream of it."""
        for shard, place in enumerate(self.places):
            with place.open("rb") as stream:
                grouped = groupby(self.members(shard, stream), lambda member: _key(member.name))
                for key, members in grouped:
                    sample = _Sample(key)
                    for member in members:
                        if has_image_suffix(member.name):
                            sample.pictures.append(member)
                        else:
                            suffix = member.name[len(key) + 1 :].lower()
                            if suffix in sample.beside:
                                sample.doubled.add(suffix)
                            sample.beside[suffix] = member
                    yield shard, sample, stream

    def label(self, shard: int, sample: _Sample, stream: IO[bytes], kind: str) -> str | None:
        """Return the label that a file beside a picture tells, or None.

        Raises:
            DatasetError: it is there, and can't be read.
        """
        member = sample.beside.get(kind)
        if member is None:
            return None
        what = f"{self.places[shard]}: {visible_line(member.name)}"
        if kind in sample.doubled:
            raise DatasetError(f"{what} is there twice: keep one")
        if member.size > _LARGEST_LABEL:
            raise DatasetError(f"{what} is too large for a label")
        stream.seek(member.offset)
        try:
            text = stream.read(member.size).decode("utf-8-sig").strip()
            label = label_of(what, strict_json(text)) if kind == "json" else text
        except ValueError as error:
            raise DatasetError(f"{what} can't be read as a label") from error
        if kind == "txt" and (label is None or len(label.split("\n")) > 1):
            return None
        if label is not None:
            check_counts(f"{what} has", label)
            label = " ".join(label.split())
        if label is not None and not 0 < len(label) <= _LONGEST_LABEL:
            if kind == "txt":
                return None  # it describes the picture
            raise DatasetError(f"{what} holds no label of at most {_LONGEST_LABEL} letters")
        return label


def _labelled(shards: _Shards, kind: str) -> ImageFolder:
    """Return the samples whose labels lie beside them, in files with the suffix ``kind``."""
    index = NamesBuilder()
    missing: list[str] = []
    unlabelled = 0
    for shard, sample, stream in shards.samples():
        if not sample.pictures:
            continue
        picture = _picture(shards, shard, sample)
        label = shards.label(shard, sample, stream, kind)
        if label is None:
            unlabelled += 1
            missing = [*missing, picture.name][:3]
            continue
        name = shards.called(shard) + picture.name
        index.add(name, f"{shard} {picture.offset} {picture.size} {label}")
    if unlabelled:
        logger.warning(
            "%s without a label in .%s: %s",
            counted(unlabelled, "image is", "images are"),
            kind,
            visible_line(", ".join(missing)),
        )
    logger.info("labels of %s are read from .%s", shards.name, kind)
    samples = index.done()
    found = {stamp.split(" ", 3)[3] for _, stamp in samples.stamped()}
    classes = class_order(found)
    number = {label: place for place, label in enumerate(classes)}
    places, files = NamesBuilder(), NamesBuilder()
    labels = array("i")
    before = None
    for name, stamp in samples.stamped():
        if name == before:
            raise DatasetError(
                f"{shards.name} has two images called {visible_line(name)}: give each a name"
            )
        before = name
        where, offset, size, label = stamp.split(" ", 3)
        etag = shards.etags[int(where)]
        places.add(name, f"{where} {offset} {size}")
        files.add(name, f"{size} {etag}@{offset}" if etag else f"{size} ")
        labels.append(number[label])
    archive = Archive(
        name=shards.name, shards=shards.places, etags=shards.etags, index=places.done()
    )
    root = Inside(archive)
    return ImageFolder(
        name=shards.name,
        root=root,
        files=files.done(),
        labels=labels,
        classes=classes,
        labels_file=root / f"*.{kind}",
    )


def _picture(shards: _Shards, shard: int, sample: _Sample) -> Member:
    """Return the picture of a sample: the only one, or the only one without a second dot.

    Raises:
        DatasetError: it may be any of several.
    """
    plain = [one for one in sample.pictures if "." not in one.name[len(sample.key) + 1 :]]
    found = sample.pictures if len(sample.pictures) == 1 else plain
    if len(found) != 1:
        names = visible_line(", ".join(member.name for member in sample.pictures[:3]))
        raise DatasetError(f"{shards.places[shard]}: {names} are pictures of one sample: keep one")
    return found[0]


def _archive(shards: _Shards, *, prefixed: bool) -> Archive:
    """Return all members of the archives, in one folder or, ``prefixed``, in one for each."""
    index = NamesBuilder()
    for shard, place in enumerate(shards.places):
        called = shards.called(shard) if prefixed else ""
        with place.open("rb") as stream:
            for member in shards.members(shard, stream):
                index.add(called + member.name, f"{shard} {member.offset} {member.size}")
    names = index.done()
    before = None
    for name in names:
        if name == before:
            raise DatasetError(f"{shards.name} holds {visible_line(name)} twice: pack it anew")
        before = name
    return Archive(name=shards.name, shards=shards.places, etags=shards.etags, index=names)


def _key(name: str) -> str:
    """Return what files of one sample share: the name up to the first dot behind its folders."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]
