import threading

import pytest

from resnet_deploy.processes.beside import beside
from resnet_deploy.progress import Progress


def test_both_run_at_the_same_time() -> None:
    here, there = threading.Event(), threading.Event()

    def work(progress: Progress) -> int:
        there.set()
        assert here.wait(10)
        return 7

    with beside(work) as result:
        assert there.wait(10)
        here.set()
        assert result() == 7


def test_an_error_is_told_where_the_result_is_asked_for() -> None:
    def work(progress: Progress) -> None:
        raise ValueError("no")

    with beside(work) as result, pytest.raises(ValueError, match="no"):
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

    with pytest.raises(error), beside(work):
        fail()
    assert len(steps) < 1000
