from __future__ import annotations

import threading

import pytest

from resnet_deploy.errors import RunnerError
from resnet_deploy.processes.engine import WorkerPool, at_once


class Adder:
    """Adds up numbers; refuses negative ones."""

    def __init__(self) -> None:
        self.sum = 0
        self.killed = threading.Event()

    def work(self, task: int) -> None:
        if task < 0:
            raise RunnerError(f"{task} is negative")
        self.sum += task

    def take(self) -> int:
        taken, self.sum = self.sum, 0
        return taken

    def kill(self) -> None:
        self.killed.set()


class Waiting(Adder):
    """Works until it is killed."""

    def work(self, task: int) -> None:
        assert self.killed.wait(20)


def test_workers_share_the_tasks_and_are_asked_for_all_they_know() -> None:
    with WorkerPool([Adder(), Adder(), Adder()]) as pool:
        for number in range(100):
            pool.submit(number)
        assert sum(pool.collect()) == 4950
        assert pool.collect() == [0, 0, 0]
        pool.submit(5)
        assert sorted(pool.collect()) == [0, 0, 5]


def test_what_a_task_raises_comes_back() -> None:
    workers = [Adder(), Adder()]
    with pytest.raises(RunnerError, match="-1 is negative"), WorkerPool(workers) as pool:  # noqa: PT012
        pool.submit(-1)
        pool.collect()
    assert all(worker.killed.is_set() for worker in workers)


def test_an_exception_ends_what_has_begun_and_drops_the_rest() -> None:
    worker = Waiting()
    with pytest.raises(KeyboardInterrupt), WorkerPool([worker]) as pool:  # noqa: PT012
        pool.submit(1)
        pool.submit(2)
        raise KeyboardInterrupt
    assert worker.killed.is_set()


def test_calls_are_made_at_once_and_errors_come_back():
    barrier = threading.Barrier(3, timeout=5)
    assert sorted(at_once(lambda _: barrier.wait(), range(3))) == [0, 1, 2]

    def fail(number: int) -> int:
        if number == 1:
            raise RunnerError("no")
        return number

    with pytest.raises(RunnerError, match="no"):
        at_once(fail, range(3))
    assert at_once(fail, []) == []
