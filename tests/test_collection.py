import gc

import pytest

from resnet_deploy.collection import set_aside


class Node:
    """One that can be in a cycle."""

    def __init__(self) -> None:
        self.next: Node = self


def test_what_was_there_is_left_alone_and_what_is_new_is_collected() -> None:
    with set_aside():
        assert gc.get_freeze_count() > 0
        Node()
        assert gc.collect() >= 1
    assert gc.get_freeze_count() == 0


def test_an_exception_gives_everything_back() -> None:
    with pytest.raises(ValueError, match="it"), set_aside():
        raise ValueError("it")
    assert gc.get_freeze_count() == 0
