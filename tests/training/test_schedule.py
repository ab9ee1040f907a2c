import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.spec.training import Recipe, Schedule
from resnet_deploy.training.recipe import read_recipe
from resnet_deploy.training.schedule import learning_rate


def rates(recipe: Recipe, steps_per_epoch: int) -> list[float]:
    total = recipe.epochs * steps_per_epoch
    return [learning_rate(recipe, step, steps_per_epoch) for step in range(total)]


@given(
    schedule=st.sampled_from(Schedule),
    epochs=st.integers(1, 12),
    steps=st.integers(1, 40),
    share=st.floats(0, 0.99),
)
def test_a_schedule_rises_once_and_never_leaves_its_bounds(
    schedule: Schedule, epochs: int, steps: int, share: float
) -> None:
    recipe = Recipe(
        epochs=epochs,
        lr=0.4,
        schedule=schedule,
        milestones=(0.5, 0.75) if schedule is Schedule.STEPS else (),
        warmup_epochs=share * epochs,
    )
    found = rates(recipe, steps)
    assert all(0 < rate <= recipe.peak_lr * (1 + 1e-12) for rate in found)
    warmup = round(recipe.warmup_epochs * steps)
    rising, falling = found[:warmup], found[warmup:]
    assert all(a < b for a, b in itertools.pairwise(rising))
    assert all(a >= b for a, b in itertools.pairwise(falling))
    if warmup:
        assert rising[-1] == pytest.approx(recipe.peak_lr)
    if schedule is not Schedule.STEPS:
        # Continuous: no step is larger than the steepest slope of the warm-up or of what follows.
        rest = max(1, len(found) - warmup)
        steepest = recipe.peak_lr * max(1 / max(1, warmup), 1.6 / rest)
        assert all(abs(a - b) <= steepest * (1 + 1e-9) for a, b in itertools.pairwise(found))


def test_steps_fall_by_ten_at_a_half_and_at_three_quarters() -> None:
    found = rates(read_recipe("cifar"), 390)
    assert found[31_979] == pytest.approx(0.1)
    assert found[31_980] == pytest.approx(0.01)
    assert found[47_969] == pytest.approx(0.01)
    assert found[47_970] == found[-1] == pytest.approx(0.001)


def test_cosine_and_one_cycle_end_near_zero() -> None:
    cosine = rates(Recipe(epochs=10, lr=1.0, schedule=Schedule.COSINE), 10)
    assert cosine[0] == 1
    assert cosine[50] == pytest.approx(0.5)
    assert cosine[-1] < 0.001
    one_cycle = rates(Recipe(epochs=10, schedule=Schedule.ONE_CYCLE, warmup_epochs=4, lr=1.0), 10)
    assert one_cycle[19] == pytest.approx(0.5)
    assert one_cycle[39] == 1
    assert one_cycle[70] == pytest.approx(0.5)
    assert one_cycle[-1] == pytest.approx(1 / 60)
