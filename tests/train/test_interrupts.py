import signal
import threading

import pytest

from resnet_deploy.train.interrupts import Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_kept_and_the_second_interrupts(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Interrupts() as interrupts:
        signal.raise_signal(number)
        assert interrupts.seen is number
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert interrupts.seen is number
    assert signal.getsignal(number) is before


def test_other_threads_can_not_and_need_not_listen() -> None:
    seen = []

    def run() -> None:
        with Interrupts() as interrupts:
            seen.append(interrupts.seen)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [None]
