from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from resnet_deploy.data.preprocess import prepare
from resnet_deploy.errors import SpecError
from resnet_deploy.spec.training import Augment, Recipe
from resnet_deploy.training.augment import crop_box, plan_epoch
from resnet_deploy.training.batches import (
    TrainingBatch,
    evaluation_batches,
    steps_per_epoch,
    training_batches,
)
from tests.support.contracts import square
from tests.support.training_images import SPEC, labelled_images

KEPT = labelled_images(26)
ON_DEMAND = labelled_images(26, kept=False)
RECIPE = Recipe(batch_size=8, mixup=0.4, pad=2)


def _joined(parts: list[TrainingBatch]) -> TrainingBatch:
    partners = [part.partners for part in parts if part.partners is not None]
    return TrainingBatch(
        images=torch.cat([part.images for part in parts]),
        labels=torch.cat([part.labels for part in parts]),
        indices=np.concatenate([part.indices for part in parts]),
        partners=torch.cat(partners) if partners else None,
        mix=parts[0].mix,
    )


def _assert_same(got: TrainingBatch, expected: TrainingBatch) -> None:
    assert torch.equal(got.images, expected.images)
    assert torch.equal(got.labels, expected.labels)
    assert np.array_equal(got.indices, expected.indices)
    assert got.mix == expected.mix
    assert (got.partners is None) == (expected.partners is None)
    if got.partners is not None and expected.partners is not None:
        assert torch.equal(got.partners, expected.partners)


@given(
    augment=st.sampled_from(Augment),
    mixup=st.sampled_from([0.0, 0.4]),
    epoch=st.integers(0, 3),
    start=st.integers(0, 3),
    world=st.sampled_from([1, 2, 4]),
    threads=st.sampled_from([1, 3]),
    kept=st.booleans(),
)
def test_images_depend_on_seed_epoch_and_position_alone(
    augment, mixup, epoch, start, world, threads, kept
):
    recipe = replace(RECIPE, augment=augment, mixup=mixup)
    whole = list(training_batches(KEPT, recipe, seed=5, epoch=epoch))
    assert len(whole) == steps_per_epoch(KEPT, recipe) == 3
    ranks = [
        list(
            training_batches(
                KEPT if kept else ON_DEMAND,
                recipe,
                seed=5,
                epoch=epoch,
                start=start,
                rank=rank,
                world=world,
                threads=threads,
            )
        )
        for rank in range(world)
    ]
    for parts, expected in zip(zip(*ranks, strict=True), whole[start:], strict=True):
        _assert_same(_joined(list(parts)), expected)


def test_another_seed_or_epoch_gives_other_images():
    first, seed, epoch = (
        next(training_batches(KEPT, RECIPE, seed=a, epoch=b)) for a, b in ((0, 0), (1, 0), (0, 1))
    )
    assert not np.array_equal(first.indices, seed.indices)
    assert not np.array_equal(first.indices, epoch.indices)
    assert len({first.mix, seed.mix, epoch.mix}) == 3


def test_each_step_is_what_the_recipe_says():
    """Pad with the mean colour, crop, mirror, mix: here one by one, with other means."""
    plan = plan_epoch(len(KEPT), RECIPE, seed=1, epoch=2)
    (batch,) = training_batches(KEPT, RECIPE, seed=1, epoch=2, start=2)
    assert plan.shifts is not None
    assert plan.flips is not None
    assert plan.mixes is not None
    assert batch.partners is not None
    expected = []
    for position in range(16, 24):
        normal = prepare(KEPT.original(int(plan.order[position])), SPEC)
        padded = np.pad(normal, ((0, 0), (2, 2), (2, 2)))
        row, column = plan.shifts[position]
        crop = padded[:, row : row + 16, column : column + 16]
        expected.append(crop[..., ::-1] if plan.flips[position] else crop)
    partners = [expected[index ^ 1] for index in range(8)]
    mix = plan.mixes[2]
    blend = mix * np.stack(expected) + (1 - mix) * np.stack(partners)
    assert np.allclose(batch.images.numpy(), blend, atol=1e-6)
    assert batch.mix == mix
    assert batch.labels.tolist() == [int(index) % 3 for index in plan.order[16:24]]
    assert batch.partners.tolist() == [batch.labels[index ^ 1] for index in range(8)]


def test_without_augmentation_training_sees_what_evaluation_sees():
    recipe = Recipe(batch_size=13, augment=Augment.NONE)
    batch = _joined(list(training_batches(KEPT, recipe, seed=0, epoch=0)))
    expected = np.stack([prepare(KEPT.original(int(index)), SPEC) for index in batch.indices])
    assert np.array_equal(batch.images.numpy(), expected)
    assert sorted(batch.indices) == list(range(26))
    assert batch.partners is None


def test_resized_crop_is_of_the_original_image():
    large = labelled_images(4, kept=False, size=40, spec=square(16, 20))
    recipe = Recipe(batch_size=4, augment=Augment.RESIZED_CROP)
    plan = plan_epoch(4, recipe, seed=0, epoch=0)
    (batch,) = training_batches(large, recipe, seed=0, epoch=0)
    assert plan.flips is not None
    for position, index in enumerate(plan.order):
        part = large.original(int(index)).crop(crop_box(plan, position, (40, 40)))
        small = prepare(part.resize((16, 16), Image.Resampling.BILINEAR), SPEC)
        expected = small[..., ::-1] if plan.flips[position] else small
        assert np.array_equal(batch.images[position].numpy(), expected)


@pytest.mark.parametrize("channels_last", [True, False])
def test_memory_format_dtypes_and_shapes(channels_last):
    recipe = replace(RECIPE, channels_last=channels_last)
    for batch in (
        next(training_batches(KEPT, recipe, seed=0, epoch=0)),
        next(evaluation_batches(KEPT, batch_size=8, channels_last=channels_last)),
    ):
        layout = torch.channels_last if channels_last else torch.contiguous_format
        assert batch.images.is_contiguous(memory_format=layout)
        assert (batch.images.shape, batch.images.dtype) == ((8, 3, 16, 16), torch.float32)
        assert (batch.labels.shape, batch.labels.dtype) == ((8,), torch.int64)


@pytest.mark.parametrize("every", [KEPT, ON_DEMAND], ids=["kept", "on-demand"])
@pytest.mark.parametrize("world", [1, 3])
def test_evaluation_is_every_image_once_pixel_for_pixel(every, world):
    parts = [
        part
        for rank in range(world)
        for part in evaluation_batches(every, batch_size=8, rank=rank, world=world)
    ]
    batch = _joined(parts)
    assert sorted(batch.indices) == list(range(26))
    assert batch.labels.tolist() == (batch.indices % 3).tolist()
    expected = np.stack([prepare(every.original(int(index)), SPEC) for index in batch.indices])
    assert np.array_equal(batch.images.numpy(), expected)


def test_a_process_without_a_part_of_the_last_batch_gets_none():
    sizes = [
        [len(batch.indices) for batch in evaluation_batches(KEPT, batch_size=5, rank=rank, world=2)]
        for rank in range(2)
    ]
    assert sizes == [[2] * 5, [3] * 5 + [1]]


def test_leaving_early_ends_the_threads():
    before = threading.active_count()
    batches = training_batches(ON_DEMAND, RECIPE, seed=0, epoch=0)
    next(batches)
    assert threading.active_count() > before
    batches.close()
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("recipe", "world", "message"),
    [
        (Recipe(batch_size=27), 1, "batch_size = 27, but made-up has only 26 images"),
        (Recipe(batch_size=8), 3, "can't be divided among 3 processes"),
        (Recipe(batch_size=6, mixup=0.2), 2, "an odd number: choose a multiple of 4"),
    ],
    ids=["too-few", "processes", "odd"],
)
def test_batches_that_do_not_fit_are_refused_at_once(recipe, world, message):
    with pytest.raises(SpecError, match=message):
        training_batches(KEPT, recipe, seed=0, epoch=0, world=world)
