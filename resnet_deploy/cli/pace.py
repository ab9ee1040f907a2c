"""How fast a stage goes, and when it will be done: nothing is said before it was measured."""

from __future__ import annotations


class Pace:
    """The pace of one stage, from its first report on; times are of the caller's clock, in s.

    What was done before the first report, by an earlier run say, counts as done but was not
    measured.
    """

    def __init__(self, done: int, total: int, now: float) -> None:
        self.total, self._first, self._begin = total, done, now
        self.done, self._told = done, now

    def tell(self, done: int, total: int, now: float) -> None:
        """Note a report; less than was done before begins the stage anew."""
        if done < self.done:
            self.__init__(done, total, now)  # type: ignore[misc]  # a new stage of the same name
        elif done > self.done:
            self.done, self._told = done, now
        self.total = total

    @property
    def finished(self) -> bool:
        """Whether all of a known total is done."""
        return 0 < self.total <= self.done

    @property
    def rate(self) -> float | None:
        """Units per second on average, None before the first one was timed."""
        seconds, units = self._told - self._begin, self.done - self._first
        return units / seconds if units > 0 and seconds > 0 else None

    def elapsed(self, now: float) -> float:
        """Return the seconds since the first report; of a finished stage, what it took."""
        return (self._told if self.finished else now) - self._begin

    def left(self, now: float) -> float | None:
        """Return the seconds until it is done at this pace.

        None where nothing was measured, where the total is not known, and where that time has
        passed: another figure would be made up.
        """
        if self.rate is None or self.total <= self.done:
            return None
        seconds = (self.total - self.done) / self.rate - (now - self._told)
        return seconds if seconds > 0 else None


def clock_time(seconds: float) -> str:
    """Return ``seconds`` as ``0:07``, ``12:30`` or ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
