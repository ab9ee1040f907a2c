"""Set up, produce, measure, record and draw: ``make bench``, or ``python -m peers`` in ``bench/``.

What was set up and produced is kept in ``bench/.venvs`` and ``bench/.peers``; a run that was
stopped goes on where it was with ``--resume``. Only a run of all subjects is recorded in
``bench/results/peers.json``; with ``--as-cpu KIND`` in ``peers-KIND.json``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

from peers.agreement import BATCH, agree_all
from peers.as_cpu import KINDS, HidingError, hide
from peers.catalog import (
    CIFAR_DEPTHS,
    IMAGENET_DEPTHS,
    ON_LESSER_CPUS,
    PRODUCTS,
    SUBJECTS,
    Subject,
)
from peers.draw import RECORD, record_as, write_all
from peers.environments import variables
from peers.nets import WORK, Net, prepare
from peers.peak import Peak, measure_peak
from peers.produce import produce
from peers.timing import Products, time_all
from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.results import to_dict
from resnet_deploy.runners.cpu import environment
from resnet_deploy.spec import BenchSpec

QUICK = WORK / "quick.json"


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def products_for(subjects: list[Subject], net: Net, batch: int) -> Products:
    """Make all that ``subjects`` need of ``net``."""
    needed = {subject.product for subject in subjects}
    found: Products = {}
    for product in PRODUCTS:
        if product.key in needed:
            found[product.key] = made = produce(product, net, batch)
            what = made.get("error") or _cost(made)
            say(f"{net.name} {product.key}: {what}")
    return found


def _cost(made: dict[str, Any]) -> str:
    seconds = f"{made['seconds']:.0f} s, {made['peak_mb']:.0f} MB, " if "seconds" in made else ""
    return f"{seconds}{made['bytes'] / 1e6:.1f} MB file"


def record_products(record: dict[str, Any], net: Net, products: Products) -> None:
    known = record["products"].setdefault(net.name, {})
    for key, made in products.items():
        if "error" in known.get(key, {"error": ""}):
            known[key] = {name: made[name] for name in made if name != "model"}


def save(record: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(record, indent=1) + "\n").encode())


def fresh(peak: Peak, as_cpu: str | None) -> dict[str, Any]:
    return {
        "environment": to_dict(environment("make bench")),
        "as_cpu": as_cpu,
        "clock_ghz": peak.clock_ghz,
        "peak_gmacs_per_core": peak.gmacs_per_core,
        "labels": {subject.key: [subject.label, subject.precision] for subject in SUBJECTS},
        "products_of": {subject.key: subject.product for subject in SUBJECTS},
        "products": {},
        "runs": [],
        "agreement": [],
    }


def main() -> None:
    given = arguments()
    os.environ.update(variables())
    chosen = [
        subject for subject in SUBJECTS if not given.only or subject.key in ("ours", *given.only)
    ]
    target = QUICK if given.quick or given.only else RECORD
    if given.as_cpu:
        try:
            hide(given.as_cpu)
        except HidingError as error:
            raise SystemExit(f"error: {error}") from None
        chosen = [
            subject
            for subject in SUBJECTS
            if subject.key in ON_LESSER_CPUS and (not given.only or subject.key in given.only)
        ]
        target = QUICK if given.quick else record_as(given.as_cpu)
    # Without AVX-512 there is no 512-bit instruction to compare with.
    peak = Peak(None) if given.as_cpu == "avx2" else measure_peak()
    record = fresh(peak, given.as_cpu)
    if given.resume and target.exists():
        record = json.loads(target.read_text(encoding="utf-8"))
    depths = given.depth or ((18,) if given.quick else IMAGENET_DEPTHS)
    batches, threads = ((1,), (2,)) if given.quick else ((1, 8), (1, 2))
    if given.as_cpu:
        batches = (1,)
    if not given.only_agreement:
        for depth, batch in itertools.product(depths, batches):
            net = prepare(depth, given.photos, None, None)
            products = products_for(chosen, net, batch)
            record_products(record, net, products)
            if given.make:
                continue
            for count in threads:
                done = ((run["net"], run["batch"], run["threads"]) for run in record["runs"])
                if (net.name, batch, count) in done:
                    continue
                spec = BenchSpec(
                    batch_size=batch,
                    threads=count,
                    rounds=6 if given.quick else 3 * given.processes,
                    rounds_per_process=6 if given.quick else 3,
                    runs_per_round=5 if given.quick else 10,
                    time_limit=given.seconds,
                )
                say(f"{net.name}, batch {batch}, {count} threads")
                where = environment("make bench")
                record["runs"].append(time_all(chosen, net, products, spec, where, peak))
                save(record, target)
    if given.test and not given.quick:
        known = {run["net"] for run in record["agreement"]}
        for depth, checkpoint in zip(CIFAR_DEPTHS, given.checkpoint, strict=False):
            net = prepare(depth, given.train, checkpoint, given.test)
            products = products_for(chosen, net, BATCH)
            record_products(record, net, products)
            if net.name not in known and not given.make:
                wanted = list(dict.fromkeys([*chosen, _fp32()]))
                products.setdefault("fp32", {"model": str(net.fp32)})
                record["agreement"].append(agree_all(wanted, net, products, say))
                save(record, target)
    if given.make:
        return
    if target in (RECORD, *map(record_as, KINDS)):
        write_all()
    else:
        print(json.dumps({"runs": record["runs"], "agreement": record["agreement"]}, indent=1))


def _fp32() -> Subject:
    return next(subject for subject in SUBJECTS if subject.key == "ort-fp32")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="ResNet-18, batch 1, 2 threads")
    parser.add_argument("--make", action="store_true", help="set up and produce, measure nothing")
    parser.add_argument("--only-agreement", action="store_true", help="measure no speed")
    parser.add_argument(
        "--as-cpu",
        choices=KINDS,
        help="show all that is measured a lesser CPU, batch size 1: results/peers-KIND.json",
    )
    parser.add_argument("--only", nargs="+", metavar="KEY", help="these subjects, beside ours")
    parser.add_argument("--depth", nargs="+", type=int, help="18, 34 or 50; default: all")
    parser.add_argument("--seconds", type=float, default=80, help="for each setting, about")
    parser.add_argument("--processes", type=int, default=4, help="of each subject, in turn")
    parser.add_argument("--resume", action="store_true", help="keep what the record has")
    parser.add_argument("--photos", type=Path, help="folder of photos that calibrate at 224x224")
    parser.add_argument("--train", type=Path, help="CIFAR-10 training images: calibration")
    parser.add_argument("--test", type=Path, help="CIFAR-10 test images: agreement")
    parser.add_argument(
        "--checkpoint", nargs=2, type=Path, default=(), help="CIFAR ResNet-20 and ResNet-32"
    )
    given = parser.parse_args()
    for name in ("photos", "train", "test"):
        path = getattr(given, name)
        setattr(given, name, path.absolute() if path else None)
    return given


if __name__ == "__main__":
    main()
