import threading

import pytest

from resnet_deploy.processes.beside import beside
from resnet_deploy.progress import Progress, silent


def test_both_run_at_the_same_time() -> None:
    here, there = threading.Event(), threading.Event()

    def work(progress: Progress) -> int:
        there.set()
        assert here.wait(10)
        return 7

    with beside(work, silent) as result:
        assert there.wait(10)
        here.set()
        assert result() == 7


def test_an_error_is_told_where_the_result_is_asked_for() -> None:
    def work(progress: Progress) -> None:
        raise ValueError("no")

    with beside(work, silent) as result, pytest.raises(ValueError, match="no"):
        result()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_work_ends_with_the_block(error: type[BaseException]) -> None:
    steps = []
    begun, broken = threading.Event(), threading.Event()

    def work(progress: Progress) -> None:
        begun.set()
        assert broken.wait(10)
        for step in range(1000):
            progress("working", step, 1000)
            steps.append(step)
            threading.Event().wait(0.01)

    def fail() -> None:
        begun.wait(10)
        broken.set()
        raise error

    with pytest.raises(error), beside(work, silent):
        fail()
    assert len(steps) < 1000


def test_progress_is_told_while_nothing_else_is_done() -> None:
    told: list[tuple[str, int, int]] = []
    begun, mine = threading.Event(), threading.Event()

    def work(progress: Progress) -> int:
        progress("working", 1, 3)
        begun.set()
        assert mine.wait(10)
        progress("working", 3, 3)
        return 7

    def tell(stage: str, done: int, total: int) -> None:
        told.append((stage, done, total))
        mine.set()  # where the work is was told: the block waits for it now

    with beside(work, tell) as result:
        assert begun.wait(10)
        assert told == []
        assert result() == 7
    assert told == [("working", 1, 3), ("working", 3, 3)]


def test_work_that_nobody_asks_about_is_waited_for_aloud() -> None:
    told: list[str] = []
    waited = threading.Event()

    def work(progress: Progress) -> None:
        progress("working", 0, 1)
        assert waited.wait(10)
        progress("working", 1, 1)
        raise ValueError("nobody asks")

    def tell(stage: str, done: int, total: int) -> None:
        told.append(stage)
        waited.set()

    begun = threading.Event()

    def marked(progress: Progress) -> None:
        def first(stage: str, done: int, total: int) -> None:
            progress(stage, done, total)
            begun.set()

        work(first)

    with beside(marked, tell):
        assert begun.wait(10)
    assert told == ["working", "working"]
