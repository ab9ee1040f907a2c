"""A cluster that works on pictures, simulated: what becomes of a job of a million, event by event.

It is the engine of ``--cluster`` in small. Workers of one core take shards, one at a time: they
read pictures, decode, resize and run them. One driver gives shards out and adds results up in their
order, one after the other, and has no more than a few shards a worker on the way. A node that fails
takes its workers' shards with it, which others work on again; a worker may be slow for one shard.

Links and the store of the pictures are shared: a shard takes as long as its own work, or as all
workers that share a link take to read through it, whichever is longer.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import numpy as np

AHEAD: Final = 3
"""Shards per worker that are on the way or wait for those in front: as in processes/shards.py."""

_DRAWN: Final = 4096
"""Random numbers at a time."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is done with each picture and each shard, in seconds of one core and in bytes."""

    name: str
    picture_seconds: float
    picture_bytes: float
    shard_pictures: int
    shard_seconds: float
    """Of a worker, besides its pictures: to pack what it found, and to get the next shard."""
    driver_seconds: float
    """Of the driver: to give a shard out, and to add its result up."""
    result_bytes: float
    start_seconds: float
    """Until a worker is ready: imports, and the session."""
    spread: float
    """Standard deviation of a shard's time over its mean."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Machines, what they share, and how often they fail."""

    nodes: int
    cores: int = 16
    node_bytes: float = 1.25e9
    """A second, in and out of one node: 10 Gbit/s."""
    store_bytes: float = 12.5e9
    """A second, out of what keeps the pictures."""
    latency: float = 0.02
    """Seconds until the first byte of a picture comes."""
    node_hours: float = 720.0
    """Mean time between failures of one node."""
    worker_hours: float = 2000.0
    """The same of a worker's process alone."""
    repair_seconds: float = 300.0
    """Until a node that failed is back."""
    slow_share: float = 0.01
    slow_factor: float = 3.0
    """This share of the shards takes so many times as long."""

    @property
    def workers(self) -> int:
        """One for each core."""
        return self.nodes * self.cores


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a job."""

    seconds: float
    core_hours: float
    lost_shards: int
    failures: int
    busy: float
    """Share of the workers' time in which they worked on a shard that counts."""
    driver_busy: float


def own_seconds(work: Work, cluster: Cluster) -> float:
    """Return the mean seconds of a worker for a shard, were it alone on all links."""
    reading = work.picture_bytes / min(cluster.node_bytes, cluster.store_bytes)
    each = work.picture_seconds + cluster.latency + reading
    mean = 1 + cluster.slow_share * (cluster.slow_factor - 1)
    return mean * (each * work.shard_pictures + work.shard_seconds)


def limits(work: Work, cluster: Cluster) -> dict[str, float]:
    """Return the pictures a second that each part could do at most, were the others infinite."""
    adding = work.driver_seconds + work.result_bytes / cluster.node_bytes
    return {
        "workers": cluster.workers * work.shard_pictures / own_seconds(work, cluster),
        "network": cluster.nodes * cluster.node_bytes / work.picture_bytes,
        "store": cluster.store_bytes / work.picture_bytes,
        "driver": work.shard_pictures / adding,
    }


def bottleneck(work: Work, cluster: Cluster) -> str:
    """Return which part is the first at its limit."""
    return min(found := limits(work, cluster), key=lambda part: found[part])


def simulate(work: Work, cluster: Cluster, pictures: int, *, seed: int = 0) -> Outcome:
    """Return what becomes of a job of ``pictures``; the same ``seed`` gives the same."""
    return _Run(work, cluster, pictures, np.random.default_rng(seed)).outcome()


class _Run:
    def __init__(self, work: Work, cluster: Cluster, pictures: int, random: Any) -> None:
        self.work, self.cluster, self.random = work, cluster, random
        self.shards = -(-pictures // work.shard_pictures)
        most = limits(work, cluster)
        links = cluster.workers * work.shard_pictures / min(most["network"], most["store"])
        self.service = max(own_seconds(work, cluster), links)
        self.order = count()
        self.events: list[tuple[float, int, str, int, int]] = []
        self.lives = [0] * cluster.workers  # a worker's events of an earlier life count for nothing
        self.running: dict[int, tuple[int, float]] = {}
        self.idle: deque[int] = deque()
        self.again: deque[int] = deque()
        self.done: set[int] = set()
        self.taken = self.added = self.lost = self.failures = 0
        self.driver_free = self.driver_worked = self.worked = 0.0
        spread = np.log1p(work.spread**2)
        self._normal = (-spread / 2, np.sqrt(spread))
        self._chances: list[float] = []

    def outcome(self) -> Outcome:
        """Run all events until the last shard is added up."""
        for worker in range(self.cluster.workers):
            self._later(self.work.start_seconds, "ready", worker)
        self._next_failure(0.0)
        now = 0.0
        while self.added < self.shards:
            now, _, kind, worker, life = heapq.heappop(self.events)
            if kind == "failure":
                self._fail(now)
            elif life == self.lives[worker]:
                if kind == "answer":
                    self._answer(worker, now)
                self.idle.append(worker)
                self._give(now)
        seconds = float(max(now, self.driver_free))
        workers = self.cluster.workers
        return Outcome(
            seconds=seconds,
            core_hours=seconds * workers / 3600,
            lost_shards=self.lost,
            failures=self.failures,
            busy=float(self.worked) / (seconds * workers),
            driver_busy=float(self.driver_worked) / seconds,
        )

    def _later(self, at: float, kind: str, worker: int = 0) -> None:
        life = self.lives[worker]
        heapq.heappush(self.events, (at, next(self.order), kind, worker, life))

    def _drives(self, now: float, seconds: float) -> float:
        """Let the driver work, when it has time; return when it is done."""
        self.driver_free = max(self.driver_free, now) + seconds
        self.driver_worked += seconds
        return self.driver_free

    def _answer(self, worker: int, now: float) -> None:
        shard, seconds = self.running.pop(worker)
        self.worked += seconds
        self.done.add(shard)
        transfer = self.work.result_bytes / self.cluster.node_bytes
        while self.added in self.done:  # in their order, as the sum of one process is made
            self.done.remove(self.added)
            self.added += 1
            self._drives(now, self.work.driver_seconds + transfer)

    def _give(self, now: float) -> None:
        """Give workers that are free a shard each, as far as the window goes."""
        while self.idle:
            if self.again:
                shard = self.again.popleft()
            elif self.taken < min(self.shards, self.added + AHEAD * self.cluster.workers):
                shard, self.taken = self.taken, self.taken + 1
            else:
                return
            worker = self.idle.popleft()
            seconds = self._shard_seconds()
            self.running[worker] = shard, seconds
            self._later(max(now, self.driver_free) + seconds, "answer", worker)

    def _shard_seconds(self) -> float:
        if not self._chances:
            factors = self.random.lognormal(*self._normal, _DRAWN)
            slow = self.random.random(_DRAWN) < self.cluster.slow_share
            factors[slow] *= self.cluster.slow_factor
            mean = 1 + self.cluster.slow_share * (self.cluster.slow_factor - 1)
            self._chances = list(self.service / mean * factors)
        return self._chances.pop()

    def _next_failure(self, now: float) -> None:
        cluster = self.cluster
        rate = cluster.nodes / cluster.node_hours + cluster.workers / cluster.worker_hours
        self._later(now + self.random.exponential(3600 / rate), "failure")

    def _fail(self, now: float) -> None:
        cluster = self.cluster
        nodes, workers = cluster.nodes / cluster.node_hours, cluster.workers / cluster.worker_hours
        self.failures += 1
        if self.random.random() < nodes / (nodes + workers):
            node, pause = int(self.random.integers(cluster.nodes)), cluster.repair_seconds
            hit = range(node * cluster.cores, (node + 1) * cluster.cores)
        else:
            worker, pause = int(self.random.integers(cluster.workers)), 0.0
            hit = range(worker, worker + 1)
        for worker in hit:
            self.lives[worker] += 1
            if worker in self.running:
                self.again.append(self.running.pop(worker)[0])
                self.lost += 1
            elif worker in self.idle:
                self.idle.remove(worker)
            self._later(now + pause + self.work.start_seconds, "ready", worker)
        self._give(now)
        self._next_failure(now)
