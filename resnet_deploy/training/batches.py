"""Batches of tensors, prepared in threads a little ahead of their use."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from resnet_deploy.data.formats import encode
from resnet_deploy.errors import SpecError
from resnet_deploy.spec import InputContract, InputFormat
from resnet_deploy.spec.training import Augment, Recipe
from resnet_deploy.training.augment import (
    EpochPlan,
    Floats,
    crop_box,
    mirrored,
    mixed,
    neighbours,
    plan_epoch,
    shifted,
)
from resnet_deploy.training.data import LabelledImages, Pixels

_BATCHES_AHEAD = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingBatch:
    """Some images and their classes.

    Args:
        images: float32 ``(N, C, S, S)``, normalised, and mixed already.
        labels: int64 ``(N,)``.
        indices: which images these are, int64 ``(N,)``.
        partners: the classes of what was mixed in, int64 ``(N,)``; None when nothing was.
        mix: the share of the image itself.
    """

    images: Tensor
    labels: Tensor
    indices: NDArray[np.int64]
    partners: Tensor | None = None
    mix: float = 1.0

    def loss(self, logits: Tensor, label_smoothing: float) -> Tensor:
        """Return the mean cross entropy of ``logits``, float32 ``(N, classes)``.

        A mixed image counts as its own class by ``mix`` and as its partner's by the rest
        (arXiv:1710.09412, which this equals as the loss is linear in the target).
        """
        loss = F.cross_entropy(logits, self.labels, label_smoothing=label_smoothing)
        if self.partners is None:
            return loss
        partners = F.cross_entropy(logits, self.partners, label_smoothing=label_smoothing)
        return self.mix * loss + (1 - self.mix) * partners


def steps_per_epoch(data: LabelledImages, recipe: Recipe) -> int:
    """Return the number of whole batches; the images left over wait for another epoch.

    Raises:
        SpecError: there are fewer images than one batch has.
    """
    if recipe.batch_size > len(data):
        raise SpecError(
            f"recipe: batch_size = {recipe.batch_size}, but {data.dataset.name} has only "
            f"{len(data)} images: choose a smaller one"
        )
    return len(data) // recipe.batch_size


def training_batches(
    data: LabelledImages,
    recipe: Recipe,
    *,
    seed: int,
    epoch: int,
    start: int = 0,
    rank: int = 0,
    world: int = 1,
    threads: int | None = None,
) -> Generator[TrainingBatch, None, None]:
    """Return the batches of one epoch, from step ``start`` on, augmented as ``recipe`` says.

    The images depend on ``seed``, ``epoch`` and their position in the epoch alone: not on
    ``start``, ``threads`` or ``world``. Closing the generator ends its threads.

    Args:
        data: all training images.
        recipe: batch size, augmentation, mixup and memory format.
        seed: of the run.
        epoch: counted from 0.
        start: steps of this epoch that are done already.
        rank: which process this is; it gets the ``rank``-th part of every batch.
        world: number of processes.
        threads: that decode images; None is one per core, at most 4.

    Raises:
        SpecError: the batch size does not fit the images or the processes.
        DatasetError: while iterating, an image that can't be read.
    """
    steps = steps_per_epoch(data, recipe)
    share = _share(recipe, world)
    plan = plan_epoch(len(data), recipe, seed=seed, epoch=epoch)

    def make(step: int, pool: ThreadPoolExecutor) -> TrainingBatch:
        first = step * recipe.batch_size + rank * share
        return _augmented(data, recipe, plan, step, np.arange(first, first + share), pool)

    return _ahead(make, range(start, steps), threads)


def evaluation_batches(
    data: LabelledImages,
    *,
    batch_size: int,
    rank: int = 0,
    world: int = 1,
    channels_last: bool = False,
) -> Generator[TrainingBatch, None, None]:
    """Return all images in their order, as they are evaluated; the last batch may be smaller.

    Of every batch a process gets a part, in order; if that is empty, no batch.

    Raises:
        DatasetError: while iterating, an image that can't be read.
    """

    def make(step: int, pool: ThreadPoolExecutor) -> TrainingBatch:
        positions = np.arange(*bounds[step], dtype=np.int64)
        values = _normalised(_evaluated(data, positions, pool), data.preprocess)
        return _batch(data, positions, values, channels_last=channels_last)

    bounds = []
    for first in range(0, len(data), batch_size):
        size = min(batch_size, len(data) - first)
        low, high = (first + part * size // world for part in (rank, rank + 1))
        if low < high:
            bounds.append((low, high))
    return _ahead(make, range(len(bounds)))


def _share(recipe: Recipe, world: int) -> int:
    share, rest = divmod(recipe.batch_size, world)
    if rest:
        raise SpecError(
            f"recipe: batch_size = {recipe.batch_size} can't be divided among {world} processes: "
            "choose a multiple"
        )
    if recipe.mixup > 0 and share % 2:
        raise SpecError(
            f"recipe: mixup pairs images, but batch_size = {recipe.batch_size} gives each of "
            f"{world} processes {share}, an odd number: choose a multiple of {2 * world}"
        )
    return share


def _augmented(
    data: LabelledImages,
    recipe: Recipe,
    plan: EpochPlan,
    step: int,
    positions: NDArray[np.int64],
    pool: ThreadPoolExecutor,
) -> TrainingBatch:
    indices = plan.order[positions]
    if recipe.augment is Augment.RESIZED_CROP:
        pixels = np.stack(list(pool.map(lambda at: _resized_crop(data, plan, int(at)), positions)))
    else:
        pixels = _evaluated(data, indices, pool)
    values = _normalised(pixels, data.preprocess)
    if plan.shifts is not None:
        values = shifted(values, plan.shifts[positions], recipe.pad)
    if plan.flips is not None:
        values = mirrored(values, plan.flips[positions])
    if plan.mixes is None:
        return _batch(data, indices, values, channels_last=recipe.channels_last)
    mix = float(plan.mixes[step])
    batch = _batch(data, indices, mixed(values, mix), channels_last=recipe.channels_last)
    partners = batch.labels[torch.from_numpy(neighbours(len(indices)))]
    return replace(batch, partners=partners, mix=mix)


def _evaluated(
    data: LabelledImages, indices: NDArray[np.int64], pool: ThreadPoolExecutor
) -> Pixels:
    if data.kept is not None:
        return data.kept[indices]
    return np.stack(list(pool.map(lambda index: data.evaluated(int(index)), indices)))


def _resized_crop(data: LabelledImages, plan: EpochPlan, position: int) -> Pixels:
    index = int(plan.order[position])
    image, size = data.original(index), data.preprocess.height
    part = image.crop(crop_box(plan, position, image.size))
    pixels = np.asarray(part.resize((size, size), Image.Resampling.BILINEAR), dtype=np.uint8)
    return pixels.reshape(size, size, -1)


def _normalised(pixels: Pixels, preprocess: InputContract) -> Floats:
    """Return ``(N, S, S, C)``, number for number what evaluation computes."""
    spec = replace(preprocess, format=InputFormat.FLOAT_NCHW, resize_in_graph=False)
    return np.moveaxis(encode(pixels, spec), 1, -1)


def _batch(
    data: LabelledImages, indices: NDArray[np.int64], values: Floats, *, channels_last: bool
) -> TrainingBatch:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    images = torch.from_numpy(values).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    labels = torch.from_numpy(data.labels[indices])
    return TrainingBatch(images=images, labels=labels, indices=indices)


def _ahead(
    make: Callable[[int, ThreadPoolExecutor], TrainingBatch],
    steps: range,
    threads: int | None = None,
) -> Generator[TrainingBatch, None, None]:
    """Yield the batch of each step; a thread makes the next ones, which others decode for."""
    workers = threads or min(4, os.cpu_count() or 1)
    pending: deque[Future[TrainingBatch]] = deque()
    maker, pool = ThreadPoolExecutor(1), ThreadPoolExecutor(workers)
    try:
        for step in steps:
            pending.append(maker.submit(make, step, pool))
            if len(pending) > _BATCHES_AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        # The pool first: the maker then stops in the middle of its batch.
        pool.shutdown(cancel_futures=True)
        maker.shutdown(cancel_futures=True)
