from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.spec.training import Augment, Recipe
from resnet_deploy.training.augment import (
    crop_box,
    mirrored,
    mixed,
    neighbours,
    plan_epoch,
    shifted,
)

CROP_FLIP = Recipe(mixup=0.2, batch_size=4)

ORDER = [4, 0, 3, 5, 2, 1]
SHIFTS = [[5, 7], [7, 4], [4, 0], [3, 5], [2, 3], [6, 8]]
FLIPS = [True, True, True, False, False, True]
MIXES = [0.005634529047127333, 0.0004947617958784915]


def _plan(count: int = 8, recipe: Recipe = CROP_FLIP, seed: int = 0, epoch: int = 0):
    return plan_epoch(count, recipe, seed=seed, epoch=epoch)


def test_every_image_comes_once_an_epoch_and_in_another_order_the_next():
    first, second, reseeded = _plan(99), _plan(99, epoch=1), _plan(99, seed=1)
    for plan in (first, second, reseeded):
        assert sorted(plan.order) == list(range(99))
    assert not np.array_equal(first.order, second.order)
    assert not np.array_equal(first.order, reseeded.order)
    assert np.array_equal(first.order, _plan(99).order)


def test_the_draws_are_the_same_in_every_version():
    plan = _plan(6, Recipe(mixup=0.2, batch_size=3))
    assert plan.order.tolist() == ORDER
    assert plan.shifts.tolist() == SHIFTS
    assert plan.flips.tolist() == FLIPS
    assert plan.mixes == pytest.approx(MIXES, abs=1e-12)


def test_an_option_changes_nothing_but_what_it_is_about():
    plan, plain = _plan(), _plan(recipe=Recipe(augment=Augment.NONE, batch_size=4))
    assert np.array_equal(plan.order, plain.order)
    assert plain.shifts is plain.flips is plain.mixes is None
    crop = _plan(recipe=Recipe(augment=Augment.CROP))
    assert np.array_equal(crop.shifts, plan.shifts)
    assert crop.flips is None


def test_crops_and_flips_are_uniform():
    """Chi-squared over the 81 places: 80 degrees of freedom, 99.9 % lie below 124.8."""
    plan, count = _plan(81 * 200), 200
    seen = np.bincount(plan.shifts[:, 0] * 9 + plan.shifts[:, 1], minlength=81)
    assert len(seen) == 81
    assert ((seen - count) ** 2 / count).sum() < 124.8
    assert plan.flips.mean() == pytest.approx(0.5, abs=0.015)
    places = np.corrcoef([plan.order, plan.flips, *plan.shifts.T])
    assert np.abs(places - np.eye(4)).max() < 0.03


def test_mix_is_beta():
    mixes = _plan(40_000, Recipe(mixup=0.2, batch_size=2)).mixes
    assert mixes.mean() == pytest.approx(0.5, abs=0.01)
    assert mixes.var() == pytest.approx(0.25 / 1.4, abs=0.005)


@given(st.integers(1, 4), st.integers(0, 3), st.integers(2, 7), st.data())
def test_shifted_is_padding_and_slicing(count, pad, size, data):
    values = np.random.RandomState(0).rand(count, size, size, 3).astype(np.float32)
    place = st.tuples(st.integers(0, 2 * pad), st.integers(0, 2 * pad))
    shifts = np.array(data.draw(st.lists(place, min_size=count, max_size=count)))
    result = shifted(values, shifts, pad)
    frame = ((pad, pad), (pad, pad), (0, 0))
    for image, (row, column), got in zip(values, shifts, result, strict=True):
        padded = np.pad(image, frame)
        assert np.array_equal(got, padded[row : row + size, column : column + size])


def test_mirrored_and_mixed():
    values = np.random.RandomState(0).rand(4, 5, 6, 3).astype(np.float32)
    flips = np.array([True, False, False, True])
    result = mirrored(values, flips)
    assert np.array_equal(result[0], values[0, :, ::-1])
    assert np.array_equal(result[1:3], values[1:3])
    assert neighbours(4).tolist() == [1, 0, 3, 2]
    assert np.allclose(mixed(values, 0.3)[2], 0.3 * values[2] + 0.7 * values[3], atol=1e-6)
    assert np.array_equal(mixed(values, 1.0), values)


@given(st.integers(1, 600), st.integers(1, 600), st.integers(0, 2**63))
def test_boxes_lie_inside(width, height, seed):
    plan = _plan(2, Recipe(augment=Augment.RESIZED_CROP, batch_size=1), seed=seed)
    left, top, right, bottom = crop_box(plan, 1, (width, height))
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert crop_box(plan, 1, (width, height)) == (left, top, right, bottom)


def test_boxes_have_the_area_and_ratio_of_the_paper():
    plan = _plan(4, Recipe(augment=Augment.RESIZED_CROP, batch_size=1))
    boxes = np.array([crop_box(plan, position, (1000, 1000)) for position in range(1500)])
    across, down = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    areas, ratios = across * down / 1e6, across / down
    assert 0.079 < areas.min() < 0.1
    assert 0.95 < areas.max() <= 1
    assert 0.749 < ratios.min() < 0.76
    assert 1.32 < ratios.max() < 1.335
    assert np.log(ratios).mean() == pytest.approx(0, abs=0.02)
    spare = (1000 - across) > 0
    assert (boxes[spare, 0] / (1000 - across[spare])).mean() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("size", "box"),
    [((300, 10), (143, 0, 156, 10)), ((10, 300), (0, 143, 10, 156)), ((1, 1), (0, 0, 1, 1))],
)
def test_images_no_crop_fits_are_cropped_in_the_centre(size, box):
    plan = _plan(2, Recipe(augment=Augment.RESIZED_CROP, batch_size=1))
    assert crop_box(plan, 0, size) == box
