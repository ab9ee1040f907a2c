"""What pictures cost on 1 to 1,000 nodes, and where the bottleneck moves: a simulation.

    python bench/scale.py [--price 0.04]
    python bench/scale.py --check --photos DIR [--pictures 1000]

The constants are those that ``scale_constants.py`` measured here; what a cluster is like
(``scale_model.Cluster``) is assumed, and written into the record. ``--check`` lets a Ray of this
machine evaluate photos with 2 workers, and compares its time with the simulated one; it is for a
machine that does nothing else. The record is ``results/scale.json``, the figure
``docs/images/scale.svg``, and the tables are those of ``docs/explanation/scale.md``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from scale_model import Cluster, Outcome, Work, bottleneck, limits, simulate
from scale_plot import draw
from whole_commands import HERE, run

from resnet_deploy.artifact.files import write_atomically

RESULTS = Path(__file__).parent / "results"
CONSTANTS = RESULTS / "scale_constants.json"
RESULT = RESULTS / "scale.json"
FIGURE = HERE / "docs" / "images" / "scale.svg"

SHARDS: Final = 64_000
"""Of a job: a million pictures as it is, 16 million as planned."""
NODES: Final = (1, 3, 10, 30, 100, 300, 1000)
SHOWN: Final = (1, 10, 100, 1000)
AS_IT_IS: Final = "as it is"
PLANNED: Final = "as planned"
LARGE_SHARD: Final = 256
"""Pictures, which keep a core busy for a quarter of a minute."""
MERGED: Final = 16
"""Results that a node would add up before the driver gets one: they merge exactly in any order."""

RANKED: Final = 16
"""Bytes of a picture's rank, class and confidence."""

FAILING_NODES: Final = 100
NODE_HOURS: Final = (720.0, 24.0, 1.0)
SEEDS: Final = 5


def works(constants: dict[str, Any], plan: str = AS_IT_IS) -> dict[str, Work]:
    """Return what is done with pictures, by the measured ``constants``.

    As planned, shards are larger, a worker ranks its answers itself and sends what is left of them,
    and a node adds histograms up before it sends them on.
    """
    shard, merged = (LARGE_SHARD, MERGED) if plan == PLANNED else (constants["shard"], 1)
    pictures, infer = constants["pictures"], constants["infer"]
    counted, ray = constants["calibration"], constants["ray"]
    input_seconds = pictures["decode"] + pictures["resize"]
    adding = counted["unpack"] + counted["merge"]
    common = {
        "picture_bytes": pictures["bytes"],
        "shard_pictures": shard,
        "start_seconds": constants["start"]["fp32"],
        "spread": pictures["spread_of_one"] / shard**0.5,
    }
    scores = constants["score"] * shard
    every = [
        Work(
            name=f"evaluate {kind}",
            picture_seconds=input_seconds + infer[kind],
            shard_seconds=scores if plan == PLANNED else 0.0,
            driver_seconds=ray["answers"]["driver"] + (0.0 if plan == PLANNED else scores),
            result_bytes=RANKED * shard if plan == PLANNED else constants["answer_bytes"],
            **common,
        )
        for kind in ("fp32", "int8")
    ]
    calibrate = Work(
        name="calibrate",
        picture_seconds=input_seconds + counted["observe"],
        shard_seconds=counted["pack"] + (adding if merged > 1 else 0),
        driver_seconds=ray["histograms"]["driver"] + adding / merged,
        result_bytes=counted["result_bytes"] / merged,
        **common,
    )
    return {work.name: work for work in (*every, calibrate)}


def picture_parts(constants: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return where a worker's milliseconds for a picture go, by work."""
    pictures, cluster = constants["pictures"], Cluster(nodes=1)
    common = {
        "read": cluster.latency + pictures["bytes"] / cluster.node_bytes,
        "decode": pictures["decode"],
        "resize": pictures["resize"],
    }
    run = {f"evaluate {kind}": constants["infer"][kind] for kind in ("fp32", "int8")}
    run["calibrate"] = constants["calibration"]["observe"]
    return {
        name: {part: 1e3 * value for part, value in {**common, "run": seconds}.items()}
        for name, seconds in run.items()
    }


def middle(work: Work, cluster: Cluster, *, seeds: int = 1) -> dict[str, Any]:
    """Return the medians of some simulated jobs, and what limits them."""
    pictures = SHARDS * work.shard_pictures
    found = [simulate(work, cluster, pictures, seed=seed) for seed in range(seeds)]

    def of(name: str) -> float:
        return statistics.median(float(getattr(outcome, name)) for outcome in found)

    return {
        **{name: of(name) for name in Outcome.__dataclass_fields__},
        "pictures_per_second": pictures / of("seconds"),
        "core_hours_a_million": of("core_hours") * 1e6 / pictures,
        "limits": limits(work, cluster),
        "bottleneck": bottleneck(work, cluster),
    }


def cluster_of(nodes: int, plan: str) -> Cluster:
    """Return a cluster; as planned, workers read the next picture while they run the last one."""
    cluster = Cluster(nodes=nodes)
    return replace(cluster, latency=0.0) if plan == PLANNED else cluster


def simulated(constants: dict[str, Any]) -> dict[str, Any]:
    """Return jobs by work, plan and nodes; and some whose nodes fail."""
    jobs: dict[str, Any] = {}
    for plan in (AS_IT_IS, PLANNED):
        for work in works(constants, plan).values():
            found = {str(nodes): middle(work, cluster_of(nodes, plan)) for nodes in NODES}
            jobs[f"{work.name}, {plan}"] = found
    work = works(constants, PLANNED)["calibrate"]
    failing = {}
    for hours in NODE_HOURS:
        cluster = replace(cluster_of(FAILING_NODES, PLANNED), node_hours=hours)
        failing[f"{hours:g}"] = middle(work, cluster, seeds=SEEDS)
    parts = picture_parts(constants)
    return {"shards": SHARDS, "picture_ms": parts, "jobs": jobs, "failures": failing}


def tables(record: dict[str, Any]) -> str:
    """Return the tables of the documentation, in Markdown."""
    parts = record["picture_ms"]
    lines = ["| a picture, ms | read | decode | resize | run |", "|---|---|---|---|---|"]
    for name, of in parts.items():
        lines.append(f"| {name} | {' | '.join(f'{value:.1f}' for value in of.values())} |")
    lines += [
        "",
        "| work | nodes | pictures/s | core-hours a million | price | limit | workers busy |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, by_nodes in record["jobs"].items():
        for nodes in SHOWN:
            job = by_nodes[str(nodes)]
            hours = job["core_hours_a_million"]
            lines.append(
                f"| {name} | {nodes:,} | {job['pictures_per_second']:,.0f} | {hours:,.1f} "
                f"| {hours * record['price']:,.2f} | {job['bottleneck']} | {job['busy']:.0%} |"
            )
    lines += [
        "",
        "| a node fails every | failures | shards done again | minutes | workers busy |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {hours} h | {job['failures']:.0f} | {job['lost_shards']:,.0f} "
        f"| {job['seconds'] / 60:.1f} | {job['busy']:.0%} |"
        for hours, job in record["failures"].items()
    ]
    return "\n".join(lines)


def checked(constants: dict[str, Any], photos: Path, pictures: int) -> dict[str, Any]:
    """Return the seconds that 2 workers of a Ray take to evaluate photos, and the simulated ones.

    Both are differences of two jobs, of all pictures and of a few: starting Ray is not the model's.
    """
    from large_data import spread

    few, seconds = max(pictures // 10, 64), {}
    cluster = Cluster(nodes=1, cores=2, latency=0, slow_share=0, node_hours=1e9, worker_hours=1e9)
    work = works(constants)["evaluate fp32"]
    with tempfile.TemporaryDirectory(prefix="resnet-deploy-") as name:
        folder, data = Path(name), Path(name, "photos")
        spread(photos, pictures, data)
        run(HERE, ["export", "--depth", "50", "--no-int8", "--no-verify", "-q", "-o", name])
        for count in (few, pictures):
            start = time.perf_counter()
            command = ["evaluate", str(folder / "resnet50.onnx"), "--data", str(data)]
            command += ["--limit", str(count), "--cluster", "ray", "--workers", "2", "-q"]
            run(HERE, command, codes=(0, 1))  # random weights are right by chance
            seconds[count] = time.perf_counter() - start
    simulated = [simulate(work, cluster, count).seconds for count in (few, pictures)]
    measured = (pictures - few) / (seconds[pictures] - seconds[few])
    expected = (pictures - few) / (simulated[1] - simulated[0])
    return {
        "pictures": pictures,
        "measured_per_second": measured,
        "simulated_per_second": expected,
        "ratio": measured / expected,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--price", type=float, default=0.04, help="of an hour of a core")
    parser.add_argument("--check", action="store_true", help="measure a Ray of 2 workers")
    parser.add_argument("--photos", type=Path, metavar="DIR")
    parser.add_argument("--pictures", type=int, default=1000)
    asked = parser.parse_args()
    constants = json.loads(CONSTANTS.read_text(encoding="utf-8"))
    before = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    if asked.check:
        if asked.photos is None:
            parser.error("--check needs --photos")
        record = {**before, "check": checked(constants, asked.photos, asked.pictures)}
        print(json.dumps(record["check"], indent=1))
    else:
        record = {
            "command": f"python bench/scale.py --price {asked.price:g}",
            "price": asked.price,
            "cluster": asdict(Cluster(nodes=0)),
            **simulated(constants),
            "check": before.get("check"),
        }
        write_atomically(FIGURE, draw(record).encode())
        print(tables(record))
    write_atomically(RESULT, (json.dumps(record, indent=1) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
