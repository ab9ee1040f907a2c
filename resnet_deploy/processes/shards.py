"""Shards of work on workers that may be lost: each counts once, however often it runs.

This is the part of a cluster that knows nothing of Ray. A shard is known by its place among all;
its results are given in that order, so that whoever adds them up adds the same numbers in the same
order as one process does. A worker that is lost is started again, and its shard given to the next
one that is free. A shard that loses worker after worker is cut in halves, which are tried alone,
until it is clear which one thing ends whatever process works on it.

A little long: what becomes of a shard is decided in one place.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar, cast

from resnet_deploy.errors import ResnetDeployError, RunnerError

logger = logging.getLogger(__name__)

S = TypeVar("S", bound="Shard")
R = TypeVar("R")
S_contra = TypeVar("S_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)

TRIES = 3
"""How many workers a shard may lose before it is looked into, and one thing before it is named."""

_ROUNDS = 4
"""How often a shard is looked into in vain."""

_AHEAD = 3
"""Shards per worker that are being worked on, or wait until those in front of them are done."""

_MOST_LOST_IN_A_ROW = 8
"""More workers lost than there are while none finishes anything: that is no accident."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 10.0
"""Seconds before a worker is started again: doubled each time, until one finishes something."""

_LONGEST_WAIT = 1.0
_IDLE_SECONDS = 20.0
"""Without any worker that runs or could: then the user is told."""


class Shard(Protocol):
    """Work for some seconds on one core, which can be sent to another process."""

    @property
    def name(self) -> str:
        """What to call it: what it holds, if that is one thing."""

    def halves(self: S) -> Sequence[S]:
        """Return the same work in two parts; none where it holds one thing."""

    def without(self: S, culprit: S, why: str) -> S:
        """Return this without the one thing ``culprit``, which ends workers: ``why`` tells how.

        Raises:
            ResnetDeployError: it can't be done without.
        """


class Job(Protocol[S_contra, R_co]):
    """What every worker needs before its first shard; it is sent to each machine once."""

    def open(self) -> Callable[[S_contra], R_co]:
        """Return what works on a shard.

        Raises:
            ResnetDeployError: this machine can't; shards raise such errors as well.
        """


@dataclass(frozen=True, kw_only=True)
class Answer(Generic[R]):
    """What became of a request: a value, an error of this package, or a worker that was lost."""

    ticket: int
    value: R | None = None
    error: ResnetDeployError | None = None
    lost: str = ""


class Pool(Protocol[S_contra, R]):
    """Workers, numbered from 0; each has at most one request at a time, known by a ticket."""

    @property
    def workers(self) -> int:
        """How many there are."""

    def start(self, worker: int) -> int:
        """Start a worker in place of what was there; it answers when it is ready."""

    def submit(self, worker: int, shard: S_contra) -> int:
        """Give a shard to a worker that is free."""

    def wait(self, seconds: float) -> Sequence[Answer[R]]:
        """Return the answers that came, after at most ``seconds`` without any."""


@dataclass(eq=False)
class _Entry(Generic[S]):
    """A shard that is not done, or a part of one that is looked into."""

    number: int
    shard: S
    losses: int = 0
    rounds: int = 0
    whole: _Entry[S] | None = None
    parts: list[_Entry[S]] = field(default_factory=list)
    dropped: bool = False

    @property
    def top(self) -> _Entry[S]:
        """The shard that this is, or is a part of."""
        return self if self.whole is None else self.whole.top

    @property
    def cuts(self) -> int:
        """How often the shard that this is a part of was cut to get it."""
        return 0 if self.whole is None else self.whole.cuts + 1

    @property
    def patience(self) -> int:
        """How many workers it may lose; only what is not sure yet to be an accident goes on."""
        return 1 if self.whole is not None and self.shard.halves() else TRIES


def in_shards(
    pool: Pool[S, R], shards: Iterable[S], *, ordered: bool = True
) -> Generator[R, None, None]:
    """Yield what the workers of ``pool`` make of each of ``shards``.

    That is in their order, or, where they are not ``ordered``, as soon as each is done. However
    many there are, a few per worker are in memory. A shard is asked for when there is
    room, in this thread.

    Raises:
        ResnetDeployError: what a shard raises; in order, when those in front of it were yielded.
        RunnerError: workers are lost one after the other.
    """
    yield from _Run(pool, shards, ordered=ordered).results()


class _Run(Generic[S, R]):
    def __init__(self, pool: Pool[S, R], shards: Iterable[S], *, ordered: bool) -> None:
        self._pool = pool
        self._ordered = ordered
        self._coming = enumerate(shards)
        self._more = True
        self._taken = 0
        self._yielded = 0
        self._done: dict[int, Answer[R]] = {}
        self._waiting: deque[_Entry[S]] = deque()
        self._suspects: deque[_Entry[S]] = deque()
        self._free: list[int] = []
        self._starting: dict[int, int] = {}  # ticket: worker
        self._running: dict[int, tuple[int, _Entry[S]]] = {}
        self._due: dict[int, float] = {}  # worker: when it is started again
        self._lost_in_a_row = 0
        self._cuts = 0  # the most, since then
        self._successes = 0
        self._idle_since = time.monotonic()

    def results(self) -> Generator[R, None, None]:
        """Yield the results."""
        for worker in range(self._pool.workers):
            self._starting[self._pool.start(worker)] = worker
        while True:
            self._fill()
            if not self._more and self._taken == self._yielded:
                return
            following = self._yielded if self._ordered else next(iter(self._done), 0)
            if (answer := self._done.pop(following, None)) is not None:
                if answer.error is not None:
                    raise answer.error
                self._yielded += 1
                self._fill()  # the caller takes its time
                yield cast("R", answer.value)
                continue
            self._restart()
            for answer in self._pool.wait(self._pause()):
                self._take(answer)
            self._tell_idleness()

    def _pause(self) -> float:
        due = min(self._due.values(), default=math.inf) - time.monotonic()
        return max(0.0, min(_LONGEST_WAIT, due))

    def _restart(self) -> None:
        now = time.monotonic()
        for worker in [worker for worker, due in self._due.items() if due <= now]:
            del self._due[worker]
            self._starting[self._pool.start(worker)] = worker

    def _tell_idleness(self) -> None:
        now = time.monotonic()
        if self._running or self._free:
            self._idle_since = now
        elif now - self._idle_since > _IDLE_SECONDS:
            logger.warning(
                "no worker has been ready for %.0f s, as no CPU is free or they start slowly: "
                "waiting",
                _IDLE_SECONDS,
            )
            self._idle_since = math.inf  # once

    def _fill(self) -> None:
        """Give each worker that is free a shard, as long as there is room."""
        while self._free and (self._waiting or self._next() or self._again()):
            entry = self._waiting.popleft()
            if not entry.top.dropped:
                worker = self._free.pop()
                self._running[self._pool.submit(worker, entry.shard)] = worker, entry

    def _next(self) -> bool:
        """Ask for one more shard, if there is room; return whether there is one."""
        if not self._more or self._taken - self._yielded >= _AHEAD * self._pool.workers:
            return False
        following = next(self._coming, None)
        if following is None:
            self._more = False
            return False
        self._taken += 1
        self._waiting.append(_Entry(*following))
        return True

    def _again(self) -> bool:
        """Give what ended its workers another chance, once others have shown what workers can do.

        Until then it waits, however long the others take: what they need is no reason to try it
        so often that the whole run is given up.
        """
        if not self._suspects or (self._running and not self._successes):
            return False
        self._waiting.append(self._suspects.popleft())
        return True

    def _take(self, answer: Answer[R]) -> None:
        """Take note of ``answer``; one to a request that was given up counts for nothing."""
        entry = None
        if answer.ticket in self._running:
            worker, entry = self._running.pop(answer.ticket)
        elif answer.ticket in self._starting:
            worker = self._starting.pop(answer.ticket)
        else:
            return
        if answer.lost:
            self._lost(worker, entry, answer.lost)
            return
        if entry is None:
            if answer.error is not None:  # a machine that can't do this work at all
                raise answer.error
        else:
            self._lost_in_a_row = self._cuts = 0
            self._successes += 1
            self._finished(entry, answer)
        self._free.append(worker)

    def _finished(self, entry: _Entry[S], answer: Answer[R]) -> None:
        if entry.top.dropped:
            return
        if entry.whole is None:
            self._done.setdefault(entry.number, answer)
            return
        entry.whole.parts.remove(entry)
        if entry.whole.parts:
            return
        top = entry.top  # no part of it does any harm: its workers were lost by accident
        if top.rounds == _ROUNDS:
            raise RunnerError(
                f"{top.shard.name} lost its worker again and again, and no part of it does so "
                "alone; use fewer --workers if memory is short"
            )
        self._instead(top, top.shard, rounds=top.rounds + 1)

    def _instead(self, top: _Entry[S], shard: S, *, rounds: int = 0) -> None:
        """Work on ``shard``; what runs of ``top`` and its parts counts for nothing any more."""
        top.dropped = True
        self._waiting.appendleft(_Entry(top.number, shard, rounds=rounds))

    def _lost(self, worker: int, entry: _Entry[S] | None, reason: str) -> None:
        self._lost_in_a_row += 1
        self._cuts = max(self._cuts, 0 if entry is None else entry.cuts)
        rounds = (self._lost_in_a_row - 1) // self._pool.workers
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**rounds)
        self._due[worker] = time.monotonic() + pause
        what = "" if entry is None else f" with {entry.shard.name}"
        logger.info("a worker was lost%s (%s): another one is started", what, reason)
        # To find one thing in a large shard takes as many more as it is cut.
        if self._lost_in_a_row > _MOST_LOST_IN_A_ROW + self._pool.workers + self._cuts:
            raise RunnerError(
                f"{self._lost_in_a_row} workers of the cluster ended one after the other "
                f"({reason}); use fewer --workers if memory is short"
            )
        if entry is None or entry.top.dropped:
            return
        entry.losses += 1
        if entry.losses < entry.patience:
            self._waiting.appendleft(entry)
            return
        entry.parts = [_Entry(entry.number, part, whole=entry) for part in entry.shard.halves()]
        if entry.parts:
            self._waiting.extendleft(reversed(entry.parts))
        elif self._successes:
            self._named(entry, reason)
        else:  # workers may end whatever they do: nothing is said of this one yet
            if entry.losses == TRIES and len(self._suspects) < _AHEAD * self._pool.workers:
                self._lost_in_a_row = 0  # it may have been this one each time
            self._suspects.append(entry)

    def _named(self, entry: _Entry[S], reason: str) -> None:
        """The one thing in ``entry`` ends whatever works on it: leave it out, or say so."""
        self._lost_in_a_row = 0  # all these are accounted for
        top = entry.top
        try:
            rest = top.shard.without(entry.shard, f"{reason}, {TRIES} times in a row")
        except ResnetDeployError as error:
            top.dropped = True
            self._done[top.number] = Answer(ticket=-1, error=error)
        else:
            self._instead(top, rest)
