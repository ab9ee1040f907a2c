"""A Triton bundle under load on 127.0.0.1: dynamic batching, bad requests, a graceful end.

    python bench/serving.py [--seconds 600] [--model MODEL.onnx] [--json FILE]

The server is Triton's own (2.51, as the newest package of it has), but the onnxruntime backend is
in no package: Triton's Python backend runs the same file there, and costs a copy between processes
more. Without ``--model`` the net is the ResNet-20 of ``export --weights cifar10`` in int8. Every
answer is compared with the scores that were recorded in the bundle.

A tenth of the seconds each goes to a constant concurrency of 1, 4 and 16, and to an open loop at
0.5 and 0.8 of what 16 gave; the rest to 16 again, while bad requests come all the time. Then
SIGTERM comes under load: all that was accepted must be answered, and the server must end by itself.

The exit code is 1 unless no request failed. ``results/serving.json`` gets what was found.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psutil
from rich.console import Console
from rich.table import Table
from serving_load import Client, refusals
from serving_requests import Bundle, bad_requests

from resnet_deploy import api
from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.bundles.bundling import pack
from resnet_deploy.results import to_dict
from resnet_deploy.runners.cpu import environment
from resnet_deploy.spec import BundleTarget
from tests.support.triton_server import DRAIN_SECONDS, Triton, running, stand_in

RESULT = Path(__file__).parent / "results" / "serving.json"
CONCURRENCY: Final = (1, 4, 16)
SHARES_OF_MOST: Final = (0.5, 0.8)
DRAIN_CONNECTIONS: Final = 32


@contextmanager
def serving(bundle: Bundle, folder: Path) -> Iterator[Triton]:
    """Start a server with the bundle's model, and wait until it answers.

    ``config.pbtxt`` gets as many threads as there are CPUs, as the bundle's README says.
    """
    repository = stand_in([bundle.folder], folder / "repository")
    config = repository / bundle.model / "config.pbtxt"
    text = config.read_text()
    instances = re.findall(r"count: (\d+)", text)
    threads = max((psutil.cpu_count() or 1) // int(instances[0]), 1)
    key = 'parameters { key: "intra_op_thread_count" value: { string_value: '
    config.write_text(re.sub(re.escape(key) + r'"\d+"', f'{key}"{threads}"', text))
    with running(repository, folder / "server.log") as triton:
        ready(triton, bundle)
        yield triton


def client_of(bundle: Bundle, triton: Triton) -> Client:
    """Return what sends the bundle's cases to the server."""
    return Client(bundle, urlsplit(triton.url).port or 0)


def ready(triton: Triton, bundle: Bundle, seconds: float = 60) -> None:
    """Return when the model is ready. Raises RuntimeError: the server ended, or takes too long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and triton.process.poll() is None:
        try:
            urllib.request.urlopen(f"{triton.url}/v2/models/{bundle.model}/ready", timeout=5)
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise RuntimeError(f"no server: {triton.said()}")


def batches(triton: Triton, bundle: Bundle) -> dict[int, int]:
    """Return how often Triton ran a batch, by its size."""
    url = f"{triton.url}/v2/models/{bundle.model}/stats"
    with urllib.request.urlopen(url, timeout=10) as answer:
        (model,) = json.load(answer)["model_stats"]
    return {
        one["batch_size"]: one["compute_infer"]["count"] for one in model.get("batch_stats", ())
    }


def between(before: dict[int, int], after: dict[int, int]) -> dict[str, Any]:
    """Return the batches that ran between two looks, and how many pictures one had on average."""
    ran = {size: after[size] - before.get(size, 0) for size in sorted(after)}
    ran = {size: number for size, number in ran.items() if number}
    pictures = sum(size * number for size, number in ran.items())
    return {"batches": ran, "mean_batch": pictures / max(sum(ran.values()), 1)}


def memory_mb(triton: Triton) -> float:
    """Return the resident memory of the server's processes."""
    process = psutil.Process(triton.process.pid)
    family = (process, *process.children(recursive=True))
    return float(sum(one.memory_info().rss for one in family) / 2**20)


async def drained(
    client: Client,
    triton: Triton,
    connections: int,
    after: float,
    end: signal.Signals = signal.SIGTERM,
) -> dict[str, Any]:
    """End the server by a signal ``after`` seconds of load; return what became of the requests.

    What was sent before the signal was accepted: its connection stood, and was read from.
    """
    stop = asyncio.Event()
    load = asyncio.create_task(client.constant(connections, 60, stop))
    await asyncio.sleep(after)
    sent, answered = client.sent, client.answered
    triton.process.send_signal(end)
    stop.set()
    start = time.perf_counter()
    found = await load
    code = await asyncio.to_thread(triton.process.wait, 2 * DRAIN_SECONDS)
    return {
        **found.summary(),
        "in_flight": sent - answered,
        "answered_after_signal": client.answered - answered,
        "exit_code": code,
        "exit_seconds": time.perf_counter() - start,
        "limit_seconds": DRAIN_SECONDS,
    }


def measured(bundle: Bundle, triton: Triton, seconds: float) -> dict[str, Any]:
    """Return the record of all loads, bad requests and the end."""
    client = client_of(bundle, triton)
    bad, tenth = bad_requests(bundle), seconds / 10
    loads: dict[str, Any] = {}

    async def under(name: str, load: Any) -> None:
        before = batches(triton, bundle)
        found = await load
        loads[name] = {**found.summary(), **between(before, batches(triton, bundle))}

    async def all_loads() -> dict[str, int]:
        for connections in CONCURRENCY:
            await under(f"{connections} at once", client.constant(connections, tenth))
        most = loads[f"{CONCURRENCY[-1]} at once"]["per_second"]
        for share in SHARES_OF_MOST:
            await under(f"open loop, {share:g} of most", client.open_loop(share * most, tenth))
        statuses: dict[str, int] = {}
        last = asyncio.create_task(client.constant(CONCURRENCY[-1], 5 * tenth))
        rounds = 0

        async def with_bad() -> Any:
            nonlocal rounds
            while not last.done():
                statuses.update(await refusals(client, bad))
                rounds += 1
                await asyncio.sleep(0.5)
            return await last

        name = f"{CONCURRENCY[-1]} at once, and bad requests"
        await under(name, with_bad())
        loads[name]["bad_requests"] = rounds * len(bad)
        return statuses

    start_mb = memory_mb(triton)
    statuses = asyncio.run(all_loads())
    end_mb = memory_mb(triton)
    return {
        "loads": loads,
        "bad_requests": statuses,
        "memory_mb": {"start": start_mb, "end": end_mb},
        "drain": asyncio.run(drained(client, triton, DRAIN_CONNECTIONS, 1.0)),
    }


def good(record: dict[str, Any]) -> bool:
    """Return whether no request failed, and the server ended as it should."""
    drain = record["drain"]
    ended = drain["exit_code"] == 0 and drain["exit_seconds"] < drain["limit_seconds"]
    return ended and not any(load["fault_count"] for load in (drain, *record["loads"].values()))


def show(record: dict[str, Any]) -> None:
    """Print what was found."""
    table = Table("load", "requests/s", "p50 ms", "p99 ms", "max ms", "batch", "faults")
    for name, load in record["loads"].items():
        ms = load.get("ms", {})
        table.add_row(
            name,
            f"{load['per_second']:.0f}",
            *(f"{ms.get(key, float('nan')):.2f}" for key in ("p50", "p99", "max")),
            f"{load['mean_batch']:.2f}",
            str(load["fault_count"]),
        )
    console = Console()
    console.print(table)
    drain, memory = record["drain"], record["memory_mb"]
    console.print(
        f"SIGTERM with {drain['in_flight']} requests in flight: {drain['answered_after_signal']} "
        f"answered, exit code {drain['exit_code']} after {drain['exit_seconds']:.2f} s; "
        f"server {memory['start']:.0f} => {memory['end']:.0f} MB"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--model", type=Path, metavar="MODEL.onnx")
    parser.add_argument("--json", type=Path, default=RESULT, metavar="FILE")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="resnet-deploy-") as name:
        folder = Path(name)
        if asked.model is None:
            api.deploy(api.load("cifar10"), folder / "net", input="uint8-nhwc").check()
        model = asked.model or folder / "net/resnet20.int8.onnx"
        pack(model, BundleTarget.TRITON, folder / "bundle")
        bundle = Bundle(folder / "bundle")
        with serving(bundle, folder) as triton:
            found = measured(bundle, triton, asked.seconds)
    record = {
        "environment": to_dict(environment(f"python bench/serving.py --seconds {asked.seconds:g}")),
        "server": "Triton 2.51, Python backend",
        "model": model.name,
        "seconds": asked.seconds,
        "cpus": psutil.cpu_count(),
        **found,
    }
    show(record)
    write_atomically(asked.json, (json.dumps(record, indent=1) + "\n").encode())
    return 0 if good(record) else 1


if __name__ == "__main__":
    sys.exit(main())
