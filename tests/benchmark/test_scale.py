"""The simulated cluster of ``bench/scale.py``, and what the pages say of it."""

from __future__ import annotations

import importlib
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.support.markdown import ROOT

SHARDS = 400


@pytest.fixture(scope="module")
def model() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "bench"))
        yield importlib.import_module("scale_model")


@pytest.fixture(scope="module")
def script(model: Any) -> Any:
    del model  # its folder is on the path
    return importlib.import_module("scale")


@pytest.fixture(scope="module")
def work(model: Any) -> Any:
    return model.Work(
        name="steady",
        picture_seconds=0.05,
        picture_bytes=100e3,
        shard_pictures=10,
        shard_seconds=0.1,
        driver_seconds=0.001,
        result_bytes=0.0,
        start_seconds=2.0,
        spread=0.0,
    )


@pytest.fixture(scope="module")
def steady(model: Any) -> Any:
    """A cluster of one worker where nothing fails, is slow or has to be waited for."""
    return model.Cluster(
        nodes=1, cores=1, latency=0.0, slow_share=0.0, node_hours=1e12, worker_hours=1e12
    )


def done(model: Any, work: Any, cluster: Any, shards: int = SHARDS, seed: int = 0) -> Any:
    return model.simulate(work, cluster, shards * work.shard_pictures, seed=seed)


def test_one_worker_takes_the_sum(model: Any, work: Any, steady: Any) -> None:
    each = 10 * (0.05 + 100e3 / 1.25e9) + 0.1
    found = done(model, work, steady)
    assert found.seconds == pytest.approx(2.0 + SHARDS * (each + 0.001), rel=1e-3)
    assert found.lost_shards == found.failures == 0
    assert found.core_hours == pytest.approx(found.seconds / 3600)


def test_workers_share_the_work(model: Any, work: Any, steady: Any) -> None:
    one, ten = (done(model, work, replace(steady, nodes=nodes)) for nodes in (1, 10))
    assert ten.seconds - 2.0 == pytest.approx((one.seconds - 2.0) / 10, rel=0.02)
    assert ten.busy > 0.9


@pytest.mark.parametrize(
    ("part", "of_work", "of_cluster"),
    [
        ("driver", {"driver_seconds": 0.05}, {"nodes": 50}),
        ("store", {}, {"nodes": 50, "store_bytes": 10e6}),
        ("network", {}, {"nodes": 4, "cores": 8, "node_bytes": 2e6}),
        ("workers", {}, {"nodes": 4}),
    ],
)
def test_the_first_limit_is_kept_and_reached(
    model: Any, work: Any, steady: Any, part: str, of_work: Any, of_cluster: Any
) -> None:
    work = replace(work, start_seconds=0.0, **of_work)
    cluster = replace(steady, **of_cluster)
    assert model.bottleneck(work, cluster) == part
    found = done(model, work, cluster, shards=4000)
    rate = 4000 * work.shard_pictures / found.seconds
    most = model.limits(work, cluster)[part]
    assert 0.95 * most < rate < 1.0001 * most


def test_what_is_lost_is_done_again_and_counts_once(model: Any, work: Any, steady: Any) -> None:
    cluster = replace(steady, nodes=10, cores=4)
    calm = done(model, work, cluster)
    failing = replace(cluster, node_hours=0.01, worker_hours=0.05, repair_seconds=3.0)
    found = done(model, work, failing)
    assert found == done(model, work, failing)
    assert found != done(model, work, failing, seed=1)
    assert found.failures > 3
    assert found.lost_shards > 3
    assert found.seconds > calm.seconds
    # What counts is as much as without failures: no shard is missing, and none counts twice.
    assert found.busy * found.seconds == pytest.approx(calm.busy * calm.seconds)


def test_slow_shards_hold_up_those_behind_them(model: Any, work: Any, steady: Any) -> None:
    cluster = replace(steady, nodes=10)
    slow = replace(cluster, slow_share=0.02, slow_factor=20.0)
    assert done(model, work, slow).busy < done(model, work, cluster).busy
    assert model.own_seconds(work, slow) == pytest.approx(1.38 * model.own_seconds(work, cluster))


def test_the_plan_moves_the_driver_away(script: Any, model: Any) -> None:
    constants = json.loads(script.CONSTANTS.read_text(encoding="utf-8"))
    cluster = model.Cluster(nodes=100)
    for name, work in script.works(constants).items():
        larger = script.works(constants, script.PLANNED)[name]
        most, more = (model.limits(each, cluster)["driver"] for each in (work, larger))
        assert more > 10 * most


def test_the_pages_show_the_record(script: Any) -> None:
    record = json.loads(script.RESULT.read_text(encoding="utf-8"))
    picture = script.draw(record)
    assert picture == script.FIGURE.read_text(encoding="utf-8")
    assert ET.fromstring(picture).tag == "{http://www.w3.org/2000/svg}svg"
    page = (ROOT / "docs/explanation/scale.md").read_text(encoding="utf-8")
    for table in script.tables(record).split("\n\n"):
        assert table in page
