"""One process, ``--workers 2``, a local Ray and three hosts: the same bytes, and what it costs.

    python bench/cluster.py --cifar DIR --photos DIR [--pictures 5000] [--copies 1000]
        [--parts same,kills,hosts,overhead,memory] [--kills 20] [--entries 100000]

``--cifar`` has ``train`` and ``test`` with class folders of CIFAR-10, ``--photos`` photos of any
size, which are taken again and again until there are ``--copies``. A ResNet-20 that comes with the
package is calibrated and evaluated on the first, a ResNet-34 with random weights on the second. The
parts:

- ``same``: int8 files and results of ``evaluate`` by all ways on this machine.
- ``kills``: the same on a local Ray, a worker of which is killed every few seconds.
- ``hosts``: the same on three hosts in network namespaces, one of which is cut off for
  ``--cut-seconds`` and comes back; needs root.
- ``overhead``: seconds of a local Ray beside those of ``--workers 2``, its start-up apart.
- ``memory``: peak memory of the command for 1,000 pictures and for ``--entries``.

The record is ``results/cluster.json``; what a run does not measure stays there.
A little long: the parts share the nets, the pictures and the commands.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from cluster_hosts import Hosts, hosts
from large_data import spread
from whole_commands import HERE, run

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.results import to_dict
from resnet_deploy.runners.cpu import environment

RESULT = Path(__file__).parent / "results" / "cluster.json"
PARTS = ("same", "kills", "hosts", "overhead", "memory")
WORKERS = ["--workers", "2"]
LOCAL = ["--cluster", "ray", *WORKERS]


@dataclass(frozen=True)
class Work:
    """A net, and pictures to calibrate and to evaluate it on."""

    name: str
    fp32: Path
    calibration: Path
    samples: int
    test: Path
    limit: int

    def quantize(self, out: Path, *how: str) -> list[str]:
        """Return the command that makes the int8 file ``out``."""
        images = ["--calibration", str(self.calibration)]
        images += ["--calibration-samples", str(self.samples)]
        quick = ["--no-calibration-cache", "--no-verify", "--no-witness", "--keep-slow", "--force"]
        return ["quantize", str(self.fp32), "-o", str(out), *images, *quick, "-q", *how]

    def evaluate(self, file: Path, out: Path, *how: str) -> list[str]:
        """Return the command that writes the accuracy of ``file`` to ``out``."""
        images = ["--data", str(self.test), "--limit", str(self.limit)]
        files = ["evaluate", str(file), "--against", str(self.fp32)]
        return [*files, *images, "--json", str(out), *how]


def told(result: Path) -> str:
    """Return a hash of what ``evaluate`` wrote, except for times and the command."""
    found = json.loads(result.read_text())
    found.pop("seconds")
    found["environment"].pop("command")
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def done(
    work: Work,
    folder: Path,
    how: Sequence[str],
    *,
    threads: Sequence[str] = (),
    prefix: Callable[[Sequence[str]], list[str]] = list,
) -> dict[str, Any]:
    """Calibrate and evaluate one way; return hashes of what came out, and seconds."""
    print(f"{work.name}: {' '.join(how) or 'one process'}", file=sys.stderr)
    int8, result = folder / f"{work.fp32.stem}.int8.onnx", folder / "result.json"
    begin = time.perf_counter()
    started(prefix, work.quantize(int8, *how))
    middle = time.perf_counter()
    started(prefix, work.evaluate(int8, result, *(threads or how)))
    return {
        "int8": hashlib.sha256(int8.read_bytes()).hexdigest(),
        "evaluated": told(result),
        "quantize_seconds": middle - begin,
        "evaluate_seconds": time.perf_counter() - middle,
    }


def started(prefix: Callable[[Sequence[str]], list[str]], arguments: Sequence[str]) -> None:
    """Run ``resnet-deploy`` of this tree to its end.

    Raises:
        SystemExit: it failed; to be right by chance is no failure here.
    """
    command = prefix([sys.executable, "-m", "resnet_deploy", *arguments])
    ended = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(HERE)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if ended.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)} ended with {ended.returncode}: {ended.stderr}")


@contextmanager
def killing(seconds: float) -> Iterator[list[float]]:
    """Kill a worker that has work every so many ``seconds`` in the block; give when that was."""
    times: list[float] = []
    over = threading.Event()

    def kill() -> None:
        while not over.wait(seconds):
            found = [each for each in workers() if "work" in each.name()]
            if found:
                with contextlib.suppress(psutil.NoSuchProcess):
                    random.choice(found).send_signal(signal.SIGKILL)
                    times.append(time.monotonic())

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield times
    finally:
        over.set()
        thread.join()


def workers() -> list[psutil.Process]:
    """Return the workers below this process."""
    below = psutil.Process().children(recursive=True)
    with contextlib.suppress(psutil.NoSuchProcess):
        return [process for process in below if "_Worker" in process.name()]
    return []


@contextmanager
def cutting(cluster: Hosts, *, after: float, seconds: float) -> Iterator[list[str]]:
    """Cut the last host off ``after`` so many seconds of the block, and let it come back."""
    said: list[str] = []
    over = threading.Event()

    def cut() -> None:
        if over.wait(after):
            return
        cluster.cut_off(2)
        said.append(f"cut off after {after:.0f} s")
        over.wait(seconds)
        cluster.reconnect(2)
        said.append(f"back after {seconds:.0f} s")

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        yield said
    finally:
        over.set()
        thread.join()


def with_kills(work: Work, folder: Path, *, kills: int, seconds: float) -> dict[str, Any]:
    """Run on a local Ray until ``kills`` workers were killed."""
    found: list[dict[str, Any]] = []
    count = 0
    while count < kills:
        with killing(seconds) as times:
            found.append(done(work, folder, LOCAL))
        count += len(times)
    return {"kills": count, "runs": len(found), **one_of(found)}


def one_of(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what all of ``found`` came to; several hashes where they differ."""
    return {key: ", ".join(sorted({one[key] for one in found})) for key in ("int8", "evaluated")}


def on_hosts(works: Sequence[Work], folder: Path, cut_seconds: float) -> dict[str, Any]:
    """Run on three hosts: undisturbed, and while one of them is cut off."""
    rows: dict[str, Any] = {}
    with hosts() as cluster:
        how = ["--cluster", cluster.address]
        for work in works:
            rows[work.name] = {"three hosts": done(work, folder, how, prefix=cluster.command)}
        for work in works:
            with cutting(cluster, after=5.0, seconds=cut_seconds) as said:
                found = done(work, folder, how, prefix=cluster.command)
            rows[work.name]["one cut off"] = {**found, "events": said}
    return rows


def overhead(work: Work, folder: Path, rounds: int) -> dict[str, Any]:
    """Return seconds of both ways in turn; a run on three pictures tells what starting takes."""
    few = Work(work.name, work.fp32, work.calibration, 32, work.test, 32)
    rows: dict[str, list[float]] = {"workers": [], "ray": [], "workers few": [], "ray few": []}
    for _ in range(rounds):
        for name, how in (("workers", WORKERS), ("ray", LOCAL)):
            for kind, given in (("", work), (" few", few)):
                seconds = run(HERE, given.quantize(folder / "timed.onnx", *how)).seconds
                rows[name + kind].append(seconds)
    middle = {name: sorted(values)[len(values) // 2] for name, values in rows.items()}
    spent = {name: middle[name] - middle[f"{name} few"] for name in ("workers", "ray")}
    return {"seconds": rows, "beyond_start": spent, "ratio": spent["ray"] / spent["workers"]}


def memory(work: Work, folder: Path, counts: Sequence[int]) -> dict[str, float]:
    """Return the peak memory in MB of the command that evaluates so many pictures on a Ray."""
    picture = next(path for path in sorted(work.test.rglob("*")) if path.is_file())
    classes = sorted(path.name for path in work.test.iterdir() if path.is_dir())
    peaks = {}
    for count in counts:
        data = folder / f"entries-{count}"
        for number in range(count):
            place = data / classes[number % len(classes)]
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{number}{picture.suffix}").write_bytes(picture.read_bytes())
        many = Work(work.name, work.fp32, data, count, data, count)
        out = folder / "memory.json"
        peaks[f"evaluate {count}"] = run(
            HERE, many.evaluate(work.fp32, out, *LOCAL), codes=(0, 1)
        ).peak_mb
        peaks[f"quantize {count}"] = run(
            HERE, many.quantize(folder / "memory.onnx", *LOCAL)
        ).peak_mb
    return peaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cifar", type=Path, required=True, metavar="DIR")
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR")
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--copies", type=int, default=1000)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--kill-seconds", type=float, default=3.0)
    parser.add_argument("--cut-seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--entries", type=int, default=100_000)
    asked = parser.parse_args()
    parts = asked.parts.split(",")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended
    with tempfile.TemporaryDirectory(prefix="resnet-deploy-") as name:
        folder, photos = Path(name), Path(name, "photos")
        spread(asked.photos, asked.copies, photos)
        quick = ["--no-int8", "--no-verify", "-q", "-o", name]
        run(HERE, ["export", "--weights", "cifar10", *quick])
        run(HERE, ["export", "--depth", "34", *quick])
        cifar = asked.cifar.expanduser()
        works = [
            Work(
                f"{asked.pictures} of CIFAR-10",
                folder / "resnet20.onnx",
                cifar / "train",
                asked.pictures,
                cifar / "test",
                asked.pictures,
            ),
            Work(
                f"{asked.copies} photos",
                folder / "resnet34.onnx",
                photos,
                asked.copies,
                photos,
                asked.copies,
            ),
        ]
        record: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
        record["environment"] = to_dict(environment("python bench/cluster.py"))
        rows: dict[str, dict[str, Any]] = record.get("ways", {})
        for work in works:
            rows.setdefault(work.name, {})
        for work in works:
            if "same" in parts:
                rows[work.name]["one process"] = done(work, folder, [])
                rows[work.name]["--workers 2"] = done(
                    work, folder, WORKERS, threads=["--threads=2"]
                )
                rows[work.name]["local Ray"] = done(work, folder, LOCAL)
            if "kills" in parts:
                rows[work.name]["killed workers"] = with_kills(
                    work, folder, kills=asked.kills, seconds=asked.kill_seconds
                )
        if "hosts" in parts:
            for work_name, found in on_hosts(works, folder, asked.cut_seconds).items():
                rows[work_name] |= found
        record["ways"] = rows
        record["same"] = {
            name: {
                key: len({way[key] for way in ways.values()}) == 1 for key in ("int8", "evaluated")
            }
            for name, ways in rows.items()
            if ways
        }
        if "overhead" in parts:
            record["overhead"] = overhead(works[0], folder, asked.rounds)
        if "memory" in parts:
            record["peak_mb"] = memory(works[0], folder, (1000, asked.entries))
    print(
        json.dumps({key: value for key, value in record.items() if key != "environment"}, indent=1)
    )
    write_atomically(RESULT, (json.dumps(record, indent=1) + "\n").encode())
    if not all(all(equal.values()) for equal in record["same"].values()):
        raise SystemExit("the ways do not give the same")


if __name__ == "__main__":
    main()
