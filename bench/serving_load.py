"""Load on an HTTP server on 127.0.0.1, bounded: so many connections and requests, and no more.

There are two kinds. With a constant concurrency each connection sends its next request when the
last one was answered. In an open loop requests arrive at random times whatever the server does, as
users do, and the time that one waits for a connection counts: a server that stalls can't hide it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from serving_requests import CLOSED, Bad, Bundle

PATIENCE: Final = 30.0
"""Seconds after which a request counts as not answered."""

MOST_CONNECTIONS: Final = 64
"""Of an open loop; as many requests more may wait for one."""

Answer = tuple[int, dict[str, str], bytes]
"""Status, head with names in lower case, body."""


@dataclass
class Load:
    """What became of the requests of one load; latencies in seconds, of good answers."""

    seconds: float = 0.0
    sent: int = 0
    latencies: list[float] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    not_sent: int = 0
    """Arrivals of an open loop that found as many waiting as the server may have."""

    def summary(self) -> dict[str, Any]:
        """Return figures: requests per second, milliseconds, and what went wrong."""
        found: dict[str, Any] = {
            "seconds": self.seconds,
            "sent": self.sent,
            "answered": len(self.latencies),
            "not_sent": self.not_sent,
            "faults": dict(self.faults.most_common(5)),
            "fault_count": self.faults.total(),
            "per_second": len(self.latencies) / self.seconds if self.seconds else 0.0,
        }
        if self.latencies:
            shares = {"p50": 50, "p90": 90, "p99": 99, "p99.9": 99.9, "max": 100}
            values = np.percentile(self.latencies, list(shares.values()))
            found["ms"] = {name: 1e3 * float(at) for name, at in zip(shares, values, strict=True)}
        return found


class Connection:
    """One connection that is kept open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int) -> AsyncIterator[Connection]:
        """Connect to a port of this machine."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()

    async def ask(self, data: bytes, *, ends: bool = False) -> Answer:
        """Send a request and return the answer; ``ends`` says that nothing comes behind it.

        A connection that the server closes instead has the status ``CLOSED``. Raises TimeoutError
        after ``PATIENCE`` seconds.
        """
        try:
            return await asyncio.wait_for(self._ask(data, ends=ends), PATIENCE)
        except asyncio.TimeoutError as error:
            raise TimeoutError from error  # before Python 3.11 they are two
        except (ConnectionError, asyncio.IncompleteReadError):
            return CLOSED, {}, b""

    async def _ask(self, data: bytes, *, ends: bool) -> Answer:
        self._writer.write(data)
        if ends:
            self._writer.write_eof()
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines[1:] if line)
        head = {name.lower(): value.strip() for name, _, value in pairs}
        body = await self._reader.readexactly(int(head.get("content-length", 0)))
        return int(lines[0].split()[1]), head, body


class Client:
    """Sends a bundle's golden cases in turn to the server at ``port``, and checks each answer."""

    def __init__(self, bundle: Bundle, port: int) -> None:
        self.bundle, self.port = bundle, port
        self.sent = self.answered = 0
        """Of all loads; what was sent and not answered is in flight."""

    async def one(self, connection: Connection, load: Load, since: float | None = None) -> bool:
        """Send one request and note what came; return whether it was right."""
        start, case = time.perf_counter(), self.bundle.golden[self.sent % len(self.bundle.golden)]
        self.sent += 1
        load.sent += 1
        try:
            status, head, body = await connection.ask(case.data)
        except TimeoutError:
            load.faults[f"no answer in {PATIENCE:g} s"] += 1
            return False
        if status == CLOSED:
            load.faults["closed without an answer"] += 1
            return False
        if fault := self.bundle.fault(case, status, head, body):
            load.faults[fault] += 1
            return False
        self.answered += 1
        load.latencies.append(time.perf_counter() - (start if since is None else since))
        return True

    async def constant(
        self, connections: int, seconds: float, stop: asyncio.Event | None = None
    ) -> Load:
        """Keep ``connections`` busy for some seconds, or until ``stop`` is set.

        Each then closes when its last request was answered, as those of a load balancer do that
        has been told to send a server nothing more.
        """
        load, start = Load(), time.perf_counter()

        def going() -> bool:
            return time.perf_counter() < start + seconds and not (stop and stop.is_set())

        async def busy() -> None:
            async with Connection.open(self.port) as connection:
                while going() and await self.one(connection, load):
                    pass

        await asyncio.gather(*(busy() for _ in range(connections)))
        load.seconds = time.perf_counter() - start
        return load

    async def open_loop(self, rate: float, seconds: float, *, seed: int = 0) -> Load:
        """Let requests arrive at random, ``rate`` a second on average (a Poisson process)."""
        load, random = Load(), np.random.default_rng(seed)
        waiting: asyncio.Queue[float | None] = asyncio.Queue(MOST_CONNECTIONS)

        async def busy() -> None:
            going = True
            while going:
                async with Connection.open(self.port) as connection:
                    right = True
                    while going and right:
                        due = await waiting.get()
                        going = due is not None
                        right = going and await self.one(connection, load, due)

        workers = [asyncio.create_task(busy()) for _ in range(MOST_CONNECTIONS)]
        start = due = time.perf_counter()
        while (due := due + random.exponential(1 / rate)) < start + seconds:
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            try:
                waiting.put_nowait(due)
            except asyncio.QueueFull:
                load.not_sent += 1
        for _ in workers:
            await waiting.put(None)
        await asyncio.gather(*workers)
        load.seconds = time.perf_counter() - start
        return load


async def refusals(client: Client, bad: Sequence[Bad]) -> dict[str, int]:
    """Send bad requests, each behind and before a good one; return the status by name.

    Raises AssertionError where one gets another answer than it should, or a good one does.
    """
    found = {}
    for request in bad:
        load = Load()
        async with Connection.open(client.port) as connection:
            good = await client.one(connection, load)
            found[request.name], _, body = await connection.ask(request.data, ends=request.ends)
        async with Connection.open(client.port) as connection:
            good = good and await client.one(connection, load)
        said = body[:200].decode(errors="replace")
        assert good, f"{request.name}: a good request beside it got {dict(load.faults)}"
        assert found[request.name] in request.statuses, (
            f"{request.name}: status {found[request.name]}, {said}"
        )
    return found
