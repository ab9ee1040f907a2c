import math
from dataclasses import replace
from typing import Any

import pytest

from resnet_deploy.errors import SpecError
from resnet_deploy.spec.training import RECIPE_FIELDS, Recipe, Schedule

WRONG: list[tuple[str, Any]] = [
    ("epochs", 0),
    ("epochs", 10**400),
    ("batch_size", 0),
    ("lr_batch", -1),
    ("pad", -1),
    ("freeze", -1),
    ("lr", 0.0),
    ("lr", math.inf),
    ("lr", math.nan),
    ("weight_decay", -1e-4),
    ("warmup_epochs", -1.0),
    ("warmup_epochs", 90.0),
    ("mixup", -0.1),
    ("clip_norm", math.inf),
    ("momentum", 1.0),
    ("label_smoothing", 1.0),
    ("ema", -0.1),
    ("stage_decay", 0.0),
    ("stage_decay", 1.1),
    ("milestones", (0.5,)),
]


@pytest.mark.parametrize(
    ("field", "value"), WRONG, ids=[f"{field}-{str(value)[:5]}" for field, value in WRONG]
)
def test_a_wrong_value_is_named(field: str, value: Any) -> None:
    with pytest.raises(SpecError, match=f"^recipe: {field} = "):
        replace(Recipe(), **{field: value})


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_number_that_is_not_finite_is_said_to_be_none(value: float) -> None:
    with pytest.raises(SpecError, match=f"^recipe: lr = {value} must be a finite number$"):
        replace(Recipe(), lr=value)


@pytest.mark.parametrize("milestones", [(), (0.5, 0.5), (0.75, 0.5), (0.0,), (1.0,), (math.nan,)])
def test_steps_need_increasing_milestones(milestones: tuple[float, ...]) -> None:
    with pytest.raises(SpecError, match="milestones"):
        Recipe(schedule=Schedule.STEPS, milestones=milestones)


def test_nesterov_needs_momentum() -> None:
    with pytest.raises(SpecError, match="nesterov = True needs a momentum"):
        Recipe(nesterov=True, momentum=0.0)


def test_the_rate_is_scaled_to_the_batch() -> None:
    assert Recipe(lr=0.1, batch_size=512).peak_lr == 0.1
    assert Recipe(lr=0.256, lr_batch=256, batch_size=64).peak_lr == pytest.approx(0.064)


def test_every_field_is_described() -> None:
    assert Recipe.__doc__ is not None
    for field in RECIPE_FIELDS:
        assert f"\n        {field}: " in Recipe.__doc__
