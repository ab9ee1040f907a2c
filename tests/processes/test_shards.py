"""Shards count once and in order, whatever happens to workers: without Ray, and at once."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from resnet_deploy.errors import DatasetError, ResnetDeployError, RunnerError
from resnet_deploy.processes import shards
from resnet_deploy.processes.shards import TRIES, Answer, in_shards


@dataclass(frozen=True)
class Numbers:
    """A shard of numbers, which becomes their sum."""

    numbers: tuple[int, ...]
    tolerant: bool = False
    gone: frozenset[int] = frozenset()

    @property
    def name(self) -> str:
        return "number " + "-".join(map(str, self.numbers))

    def halves(self) -> Sequence[Numbers]:
        middle = len(self.numbers) // 2
        parts = (self.numbers[:middle], self.numbers[middle:])
        return [replace(self, numbers=part) for part in parts] if middle else []

    def without(self, culprit: Numbers, why: str) -> Numbers:
        if not self.tolerant:
            raise DatasetError(f"{culprit.name} ends whatever process reads it ({why})")
        return replace(self, gone=self.gone.union(culprit.numbers))


class FakePool:
    """Answers one request after the other, in any order; what ``fate`` says may be lost."""

    def __init__(self, workers: int = 3, *, seed: int = 0, chance: float = 0.0) -> None:
        self.workers = workers
        self.poison: set[int] = set()
        self.broken = False
        self.random = random.Random(seed)
        self.chance = chance
        self.asked: list[tuple[int, Numbers | None]] = []
        self.late: list[Answer[int]] = []
        self.tickets = 0
        self.most_asked = 0
        self.lost = 0

    def start(self, worker: int) -> int:
        return self._asked(None)

    def submit(self, worker: int, shard: Numbers) -> int:
        return self._asked(shard)

    def _asked(self, shard: Numbers | None) -> int:
        self.tickets += 1
        self.asked.append((self.tickets, shard))
        self.most_asked = max(self.most_asked, len(self.asked))
        return self.tickets

    def wait(self, seconds: float) -> Sequence[Answer[int]]:
        if not self.asked:
            return []
        place = self.random.randrange(len(self.asked))
        ticket, shard = self.asked.pop(place)
        if shard is None:
            return [Answer(ticket=ticket, value=0)]
        read = set(shard.numbers) - shard.gone
        value = Answer(ticket=ticket, value=sum(read))
        if self.broken or read & self.poison or self.random.random() < self.chance:
            self.lost += 1
            late, self.late = self.late, [value]  # it comes when nobody waits for it any more
            return [*late, Answer(ticket=ticket, lost="its process died")]
        if -1 in read:
            return [Answer(ticket=ticket, error=DatasetError("number -1 is negative"))]
        return [value]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_FIRST_PAUSE", 0.0)


def some(count: int, size: int = 8, *, tolerant: bool = False) -> list[Numbers]:
    starts = range(0, count * size, size)
    return [Numbers(tuple(range(start, start + size)), tolerant) for start in starts]


@pytest.mark.parametrize("seed", range(20))
def test_what_is_lost_is_done_again_and_counts_once(seed: int) -> None:
    expected = [sum(shard.numbers) for shard in some(30)]
    pool = FakePool(1 + seed % 4, seed=seed, chance=0.3)
    assert list(in_shards(pool, some(30))) == expected
    assert pool.lost > 0


@pytest.mark.parametrize("seed", range(10))
def test_what_ends_every_worker_is_named(seed: int) -> None:
    pool = FakePool(2, seed=seed, chance=0.1)
    pool.poison = {77}
    results: list[int] = []
    with pytest.raises(DatasetError, match=r"^number 77 ends whatever process reads it") as caught:
        results.extend(in_shards(pool, some(30)))
    assert results == [sum(shard.numbers) for shard in some(9)]  # all in front of it
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", range(10))
def test_what_ends_every_worker_is_left_out_where_that_is_wanted(seed: int) -> None:
    pool = FakePool(3, seed=seed)
    pool.poison = {0, 77, 79, 239}
    expected = [sum(set(shard.numbers) - pool.poison) for shard in some(30)]
    assert list(in_shards(pool, some(30, tolerant=True))) == expected


def test_a_single_one_is_named_at_once() -> None:
    pool = FakePool(1)
    pool.poison = {3}
    with pytest.raises(DatasetError, match=r"^number 3 ends"):
        list(in_shards(pool, some(5, size=1)))
    assert pool.lost == TRIES


@pytest.mark.parametrize("size", [1, 8, 16, 512])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_workers_that_always_end_say_nothing_of_the_shards(workers: int, size: int) -> None:
    pool = FakePool(workers)
    pool.broken = True
    with pytest.raises(RunnerError, match="workers of the cluster ended one after the other"):
        list(in_shards(pool, some(30, size)))
    assert pool.lost < 50 + 10 * workers  # each is a process that takes seconds to start


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("first", [0, 512])
def test_one_of_a_large_shard_is_found_with_one_worker(workers: int, first: int) -> None:
    """It is lost again and again, with nothing that succeeds between, until the one is found."""
    pool = FakePool(workers)
    pool.poison = {first}
    expected = [sum(set(shard.numbers) - pool.poison) for shard in some(3, 512)]
    assert list(in_shards(pool, some(3, 512, tolerant=True))) == expected


@pytest.mark.parametrize("seed", range(20))
def test_in_any_order_each_counts_once_as_well(seed: int) -> None:
    pool = FakePool(1 + seed % 4, seed=seed, chance=0.1)
    pool.poison = {0, 77}
    expected = [sum(set(shard.numbers) - pool.poison) for shard in some(30)]
    found = in_shards(pool, some(30, tolerant=True), ordered=False)
    assert sorted(found) == sorted(expected)


def test_an_error_waits_for_what_is_in_front_of_it() -> None:
    work = [*some(5), Numbers((-1,)), *some(3)]
    results: list[int] = []
    with pytest.raises(DatasetError, match="number -1 is negative"):
        results.extend(in_shards(FakePool(4, seed=1), work))
    assert results == [sum(shard.numbers) for shard in some(5)]


def test_a_machine_that_can_not_do_it_ends_the_work() -> None:
    class Refusing(FakePool):
        def wait(self, seconds: float) -> Sequence[Answer[int]]:
            ticket, _ = self.asked.pop()
            error: ResnetDeployError = RunnerError("another CPU")
            return [Answer(ticket=ticket, error=error)]

    with pytest.raises(RunnerError, match="another CPU"):
        list(in_shards(Refusing(), some(3)))


def test_shards_are_asked_for_when_there_is_room() -> None:
    asked = 0

    def counted() -> Iterator[Numbers]:
        nonlocal asked
        for shard in some(1000, size=1):
            asked += 1
            yield shard

    done = 0
    pool = FakePool(4)
    for _ in in_shards(pool, counted()):
        done += 1
        assert asked - done <= 3 * pool.workers
    assert done == 1000
    assert pool.most_asked <= pool.workers


def test_nothing_to_do() -> None:
    assert list(in_shards(FakePool(), [])) == []


class SlowPool(FakePool):
    """Answers about number 0 only when there is nothing else to answer."""

    def wait(self, seconds: float) -> Sequence[Answer[int]]:
        slow = [each for each in self.asked if each[1] is not None and 0 in each[1].numbers]
        self.asked = [each for each in self.asked if each not in slow]
        if answers := super().wait(seconds):
            self.asked += slow
            return answers
        self.asked += slow
        return super().wait(seconds)


def test_one_shard_that_takes_long_does_not_make_another_one_everybody_s_fault() -> None:
    pool = SlowPool(2)
    pool.poison = {1, 2, 3, 4, 5}
    with pytest.raises(DatasetError, match=r"^number 1 ends whatever process reads it"):
        list(in_shards(pool, some(10, 1)))
    assert pool.lost <= len(pool.poison) * TRIES + 1


def test_many_that_end_workers_are_each_named() -> None:
    """However long another one takes: with all that is known, none of it is a riddle."""
    pool = SlowPool(2)
    pool.poison = set(range(2, 20))
    results = in_shards(pool, some(40, 1, tolerant=True), ordered=False)
    assert sorted(results) == sorted([0] * 18 + [0, 1, *range(20, 40)])
