from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from resnet_deploy.errors import MissingDependencyError
from resnet_deploy.models.dependencies import interrupts_deferred, require


def test_a_missing_package_is_named_with_its_command():
    with pytest.raises(MissingDependencyError, match=r"drawing needs .*pip install"):
        require("no_such_package", "drawing")


@pytest.fixture
def heard() -> Iterator[None]:
    """Makes Ctrl-C an exception also where the tests were started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_an_interrupt_waits_for_the_end_of_the_block():
    done = False
    with pytest.raises(KeyboardInterrupt), interrupts_deferred():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        done = True
    assert done
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_without_an_interrupt_nothing_changes():
    before = signal.getsignal(signal.SIGTERM)
    with interrupts_deferred():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
