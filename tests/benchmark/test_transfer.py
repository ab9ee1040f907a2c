"""What ``bench/transfer.py`` compares, without the trainings."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"
SUBJECTS = ("transfer", "scratch", "scratch, cifar-fast")


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCH))
        yield importlib.import_module("transfer")


def runs(*seeds: tuple[float, float, float]) -> dict[tuple[int, str], Any]:
    """Results that end with these top-1, for each seed those of the three subjects."""
    return {
        (seed, subject): SimpleNamespace(
            top1=top1, epochs=(SimpleNamespace(steps=30),), train_images=1000, test_images=797
        )
        for seed, row in enumerate(seeds)
        for subject, top1 in zip(SUBJECTS, row, strict=True)
    }


def test_all_subjects_see_the_same_images_in_as_many_steps(script):
    found = script.recipes(6)

    assert tuple(found) == SUBJECTS
    assert (
        len(
            {
                (options.epochs, options.batch_size, options.augment, options.pad)
                for options in found.values()
            }
        )
        == 1
    )
    assert found["scratch"].stage_decay == 1
    assert found["scratch, cifar-fast"].peak_lr == pytest.approx(0.1)  # 0.2 at 128 images


def test_the_better_one_from_scratch_counts_seed_by_seed(script):
    found = script.compare("digits", 2, runs((0.9, 0.5, 0.7), (0.8, 0.6, 0.4)))

    assert found["gains"] == pytest.approx([0.2, 0.2])
    assert found["steps"] == 30
    assert found["holds"]


def test_one_seed_that_gains_nothing_is_enough_to_fail(script):
    assert not script.compare("digits", 2, runs((0.9, 0.5, 0.7), (0.7, 0.6, 0.7)))["holds"]


def test_digits_are_split_without_overlap_and_always_alike(script, tmp_path):
    written = script.write_digits(tmp_path / "first.npz").read_bytes()
    archive = script.np.load(tmp_path / "first.npz")

    assert written == script.write_digits(tmp_path / "second.npz").read_bytes()
    assert (len(archive["x_train"]), len(archive["x_test"])) == (1000, 797)
    assert len(set(archive["y_test"].tolist())) == 10
    archive.close()
