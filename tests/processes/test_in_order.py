import threading
from collections.abc import Iterator

import pytest

from resnet_deploy.processes.in_order import in_order


def test_results_come_in_order_from_several_threads() -> None:
    both = threading.Barrier(2, timeout=10)

    def meet(number: int) -> int:
        both.wait()
        return -number

    assert list(in_order(meet, range(6), workers=2)) == [0, -1, -2, -3, -4, -5]


@pytest.mark.parametrize(("workers", "waiting", "most"), [(1, 0, 1), (2, 0, 2), (2, 2, 4)])
def test_few_items_are_taken_at_a_time(workers: int, waiting: int, most: int) -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(20):
            taken.append(number)
            yield number

    for done, _ in enumerate(in_order(abs, items(), workers=workers, waiting=waiting)):
        assert len(taken) <= done + most


def test_an_error_comes_in_its_place_and_ends_the_threads() -> None:
    def fail(number: int) -> int:
        if number == 2:
            raise ValueError("two")
        return number

    before = threading.active_count()
    results = in_order(fail, range(50), workers=2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)
    assert threading.active_count() == before
