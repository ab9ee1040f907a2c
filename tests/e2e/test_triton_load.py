"""A Triton bundle under load on Triton's own server: answers, batches, bad requests, its end."""

from __future__ import annotations

import asyncio
import importlib
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resnet_deploy.bundles.bundling import pack
from resnet_deploy.bundles.triton import OLDEST_RELEASE
from resnet_deploy.spec import BundleTarget
from tests.support.triton_server import DRAIN_SECONDS, Triton

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCH))
        yield importlib.import_module("serving")


@pytest.fixture(scope="module")
def requests(script: Any) -> Any:
    return importlib.import_module("serving_requests")


@pytest.fixture(scope="module")
def bundle(script: Any, resnet20_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("load") / "bundle"
    pack(resnet20_export / "resnet20.int8.onnx", BundleTarget.TRITON, folder)
    return script.Bundle(folder)


@pytest.fixture(scope="module")
def shared(script: Any, bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    with started(script, bundle, tmp_path_factory.mktemp("server")) as triton:
        yield triton


@pytest.fixture
def triton(script: Any, bundle: Any, tmp_path: Path) -> Iterator[Triton]:
    """A server of a test's own, which it may end."""
    with started(script, bundle, tmp_path) as triton:
        yield triton


def started(script: Any, bundle: Any, folder: Path) -> Any:
    return script.serving(bundle, folder)


def test_answers_are_right_under_load_and_requests_run_together(
    script: Any, bundle: Any, shared: Triton
) -> None:
    before = script.batches(shared, bundle)
    load = asyncio.run(script.client_of(bundle, shared).constant(16, 1.5))
    ran = script.between(before, script.batches(shared, bundle))
    assert not load.faults, shared.said()
    assert len(load.latencies) == load.sent >= 32
    assert sum(size * number for size, number in ran["batches"].items()) == load.sent
    assert ran["mean_batch"] > 1.5
    assert max(ran["batches"]) <= 8


def test_an_open_loop_counts_what_waits(script: Any, bundle: Any, shared: Triton) -> None:
    load = asyncio.run(script.client_of(bundle, shared).open_loop(40, 1.5))
    assert not load.faults
    assert load.sent + load.not_sent > 30
    assert load.summary()["ms"]["p50"] > 0


def test_wrong_answers_are_faults(script: Any, bundle: Any, shared: Triton) -> None:
    other = script.Bundle(bundle.folder)
    other.golden = tuple(
        type(case)(case.name, case.data, case.scores[::-1]) for case in bundle.golden
    )
    load = asyncio.run(script.client_of(other, shared).constant(2, 0.2))
    assert not load.latencies
    assert all(re.match("scores off by ", fault) for fault in load.faults)


def test_bad_requests_are_refused_and_harm_none(script: Any, bundle: Any, shared: Triton) -> None:
    client, bad = script.client_of(bundle, shared), script.bad_requests(bundle)

    async def both() -> Any:
        load = asyncio.create_task(client.constant(4, 60, stop := asyncio.Event()))
        found = await script.refusals(client, bad)
        stop.set()
        return found, await load

    found, load = asyncio.run(both())
    assert found.keys() == {request.name for request in bad}
    assert not load.faults, shared.said()
    assert shared.process.poll() is None


def test_sigterm_answers_what_was_accepted(script: Any, bundle: Any, triton: Triton) -> None:
    found = asyncio.run(script.drained(script.client_of(bundle, triton), triton, 32, 0.5))
    assert found["in_flight"] == found["answered_after_signal"] > 1
    assert found["faults"] == {}, triton.said()
    assert found["exit_code"] == 0, triton.said()
    assert found["exit_seconds"] < DRAIN_SECONDS


def test_an_end_without_a_drain_is_seen(script: Any, bundle: Any, triton: Triton) -> None:
    client = script.client_of(bundle, triton)
    triton.process.send_signal(signal.SIGSTOP)  # so that nothing is answered yet
    found = asyncio.run(script.drained(client, triton, 32, 0.5, signal.SIGKILL))
    assert found["answered_after_signal"] == 0 < found["in_flight"] == found["fault_count"]
    assert found["exit_code"] == -signal.SIGKILL


@pytest.mark.parametrize("number", [0, 1])
def test_what_ends_old_releases(
    script: Any, requests: Any, bundle: Any, triton: Triton, number: int
) -> None:
    """The README of the bundle asks for a release that outlives them."""
    request = requests.deadly_requests(bundle)[number]
    (major, minor) = re.findall(r"server_version\s+\|\s+(\d+)\.(\d+)", triton.said())[0]
    client = script.client_of(bundle, triton)
    if (int(major), int(minor)) >= (2, 69):  # which is in OLDEST_RELEASE
        asyncio.run(script.refusals(client, [request]))
        return
    with pytest.raises((AssertionError, OSError)):
        asyncio.run(script.refusals(client, [request]))
    # SIGSEGV as a rule; on a busy machine 127 was seen as well.
    assert triton.process.wait(30) in (-signal.SIGSEGV, 127)
    readme = (bundle.folder / "README.md").read_text(encoding="utf-8")
    assert f"{OLDEST_RELEASE} or later" in readme
