"""Pictures in shards that are sent to other processes, and read where they lie.

A shard is self-contained: whoever works on it opens no dataset and lists no folder. Pictures in
files are named, and read by the worker; those that are in memory here already are sent as pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from PIL import Image

from resnet_deploy.data.datasets import Dataset
from resnet_deploy.data.loader import image_name, in_batches
from resnet_deploy.data.synthetic import SyntheticDataset
from resnet_deploy.errors import DatasetError

SHARD_PIXELS = 16 * 224 * 224
"""Of the pictures of one shard, which keep a core busy for about a second."""

_MOST_PICTURES = 512


@runtime_checkable
class Divisible(Protocol):
    """A dataset of which a part can be sent to another process."""

    def part(self, indices: Sequence[int]) -> Dataset:
        """Return the images ``indices``, which ascend, alone; labels stay behind.

        It is pickled, and should be small: it says where pictures lie, if others can read them
        there.
        """


@dataclass(frozen=True, kw_only=True)
class PictureShard:
    """Some pictures, which :mod:`~resnet_deploy.processes.shards` divides where it must.

    Args:
        dataset: where they come from; of a dataset, the part that they are in.
        places: their indices in it.
        indices: those in the whole dataset, by which they are known.
        batch_size: how many are worked on at a time.
        fingerprint: of ``dataset``, as it was where the shard was made.
        tolerant: whether pictures that can't be read are left out.
        gone: which of ``indices`` are left out, as they end whatever process reads them.
    """

    dataset: Dataset
    places: tuple[int, ...]
    indices: tuple[int, ...]
    batch_size: int
    fingerprint: str
    tolerant: bool = False
    gone: frozenset[int] = frozenset()

    @property
    def name(self) -> str:
        """The picture, or the first and the last one."""
        first, last = (image_name(self.dataset, self.places[place]) for place in (0, -1))
        return first if len(self.places) == 1 else f"{first} … {last}"

    def halves(self) -> Sequence[PictureShard]:
        """See ``Shard.halves``."""
        if len(self.places) == 1:
            return ()
        middle = len(self.places) // 2
        return tuple(
            replace(self, places=self.places[part], indices=self.indices[part])
            for part in (slice(middle), slice(middle, None))
        )

    def without(self, culprit: PictureShard, why: str) -> PictureShard:
        """See ``Shard.without``.

        Raises:
            DatasetError: pictures that can't be read are errors.
        """
        if not self.tolerant:
            raise DatasetError(
                f"{culprit.name} ends whatever process reads it ({why}): take it out of the data"
            )
        return replace(self, gone=self.gone.union(culprit.indices))

    def check(self) -> None:
        """Refuse other pictures than those that the shard was made of.

        Raises:
            DatasetError: they are others, or can't be read.
        """
        try:
            found = self.dataset.fingerprint()
        except OSError as error:
            raise DatasetError(
                f"cannot read {error.filename}: {error.strerror}; every machine of the cluster "
                "must have the images at the same place"
            ) from error
        if found != self.fingerprint:
            raise DatasetError(
                f"{self.name} of {self.dataset.name} are not the same files on every machine of "
                "the cluster, or were changed meanwhile"
            )

    def batches(self) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Yield the places of each batch that are read, and those that are left out."""
        index_of = dict(zip(self.places, self.indices, strict=True))
        for batch in in_batches(self.places, self.batch_size):
            gone = tuple(place for place in batch if index_of[place] in self.gone)
            yield tuple(place for place in batch if place not in gone), gone


def picture_shards(
    dataset: Dataset,
    indices: Sequence[int],
    *,
    batch_size: int,
    pixels: int,
    workers: int,
    tolerant: bool = False,
) -> Iterator[PictureShard]:
    """Yield the images ``indices`` of ``dataset`` in shards, in this order.

    No batch is divided between two shards: what a network answers may depend on its batch. There
    are several shards for each of ``workers``, if there are enough images of ``pixels`` each.
    """
    enough = min(SHARD_PIXELS // pixels, _MOST_PICTURES, -(-len(indices) // (4 * workers)))
    size = batch_size * max(1, round(enough / batch_size))
    for chosen in in_batches(indices, size):
        part, places = _part(dataset, chosen)
        yield PictureShard(
            dataset=part,
            places=places,
            indices=chosen,
            batch_size=batch_size,
            fingerprint=part.fingerprint(),
            tolerant=tolerant,
        )


def _part(dataset: Dataset, indices: tuple[int, ...]) -> tuple[Dataset, tuple[int, ...]]:
    """Return what has the images ``indices`` of ``dataset``, and their places in it."""
    if isinstance(dataset, SyntheticDataset):
        return dataset, indices
    ascending = sorted(set(indices))
    place_of = {index: place for place, index in enumerate(ascending)}
    places = tuple(place_of[index] for index in indices)
    if isinstance(dataset, Divisible):
        return dataset.part(ascending), places
    return _Decoded.of(dataset, ascending), places


@dataclass(frozen=True, kw_only=True, eq=False)
class _Decoded:
    """Images of a dataset that only this process can read, or why one can't be read."""

    name: str
    numbers: tuple[int, ...]
    images: tuple[Image.Image | DatasetError, ...]
    classes: tuple[str, ...] = ()
    labelled: bool = False

    @classmethod
    def of(cls, dataset: Dataset, indices: Sequence[int]) -> _Decoded:
        images: list[Image.Image | DatasetError] = []
        for index in indices:
            try:
                images.append(dataset.image(index))
            except DatasetError as error:
                images.append(error)
        return cls(name=dataset.name, numbers=tuple(indices), images=tuple(images))

    def __len__(self) -> int:
        return len(self.images)

    def image(self, index: int) -> Image.Image:
        """Return one of them."""
        image = self.images[index]
        if isinstance(image, DatasetError):
            raise image
        return image

    def label(self, index: int) -> int:
        """Raise DatasetError: labels stay behind."""
        raise DatasetError(f"{self.name}: labels are not sent")

    def fingerprint(self) -> str:
        """Return nothing: the images themselves are sent."""
        return ""
