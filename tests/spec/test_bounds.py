from __future__ import annotations

import math
import re

import pytest

from resnet_deploy.errors import SpecError
from resnet_deploy.spec import BenchSpec
from resnet_deploy.spec.bounds import MOST_INPUT_VALUES, check_batch
from resnet_deploy.spec.deploy import ExportSpec
from resnet_deploy.spec.tolerance import Tolerance


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("batch_size", (0, -1, 10**23)),
        ("rounds", (0, 2**31)),
        ("threads", (-1, 2**31)),
        ("instances", (0, 2**31)),
        ("cold_starts", (0, 2**31)),
        ("time_limit", (0, -1, math.nan, math.inf, 1e308)),
        ("precision", (0, math.nan, math.inf)),
        ("warmup_seconds", (-1, math.nan, math.inf)),
    ],
)
def test_numbers_that_no_measurement_can_have(name: str, values: tuple[float, ...]) -> None:
    for value in values:
        with pytest.raises(
            SpecError, match=rf"^{name} must be .*, not {re.escape(str(value))}$"
        ) as caught:
            BenchSpec(**{name: value})  # type: ignore[arg-type]
        assert len(str(caught.value)) < 100


def test_a_batch_is_of_what_can_be_fed_at_once() -> None:
    check_batch(2, MOST_INPUT_VALUES // 2)
    with pytest.raises(SpecError, match="choose a smaller --batch-size"):
        check_batch(2, MOST_INPUT_VALUES // 2 + 1)
    with pytest.raises(SpecError, match="choose a smaller --batch-size"):
        check_batch(10**23, 3)
    with pytest.raises(SpecError, match="100000 images is more than 65,536"):
        ExportSpec(batch_size=100_000)


@pytest.mark.parametrize("name", ["max_relative", "min_sqnr_db", "min_cosine", "min_agreement"])
def test_no_check_is_made_against_what_it_can_not_miss(name: str) -> None:
    with pytest.raises(SpecError, match=rf"^{name} must be a number, not nan"):
        Tolerance(**{name: math.nan})
