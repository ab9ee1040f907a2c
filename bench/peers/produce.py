"""Producing a file: how long it takes, and how much memory at the most."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from peers.catalog import Product
from peers.environments import last_line, python_of, set_up, variables
from peers.job import Job
from peers.nets import Net
from resnet_deploy.runners.cpu import versions

_SECONDS = 1200
_EVERY = 0.05


def produce(product: Product, net: Net, batch: int) -> dict[str, Any]:
    """Return what is known of ``product`` of ``net``: made now, or kept from an earlier run.

    ``model`` and ``bytes``, ``seconds`` and ``peak_mb`` of the whole process (and its children),
    ``versions``; or ``error`` alone.
    """
    if product.missing:
        return {"error": product.missing}
    name = f"{product.key}-b{batch}" if product.per_batch else product.key
    out = net.folder / name
    record = out / "record.json"
    if record.exists():
        return json.loads(record.read_text(encoding="utf-8"))
    if product.venv and (error := set_up(product.venv)):
        return {"error": error}
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    if product.given:
        file: Path = getattr(net, product.given)
        found: dict[str, Any] = {"model": str(file), "bytes": file.stat().st_size}
    elif product.module:
        found = _peer(product, net, batch, out)
    else:
        found = _ours(product, net, out)
    if "error" not in found:
        record.write_text(json.dumps(found), encoding="utf-8")
    return found


def _peer(product: Product, net: Net, batch: int, out: Path) -> dict[str, Any]:
    job = Job(
        name=net.name,
        depth=net.depth,
        image_size=net.image_size,
        fp32=str(net.fp32),
        weights=str(net.weights),
        pixels=str(net.pixels),
        calibration=str(net.calibration),
        out=str(out),
        batch=batch,
    )
    job.write(out / "job.json")
    command = [python_of(product.venv), "-m", product.module, "make", str(out / "job.json")]
    cost = _run(command, out)
    made = out / "made.json"
    if "error" in cost or not made.exists():
        return {"error": cost.get("error", "it made no file")}
    return {**json.loads(made.read_text(encoding="utf-8")), **cost}


def _ours(product: Product, net: Net, out: Path) -> dict[str, Any]:
    """Quantize the same fp32 file on the same photos, with the checks that are always made."""
    target = out / f"{net.name}.int8.onnx"
    command = [sys.executable, "-m", "resnet_deploy", "quantize", str(net.fp32), "-o", str(target)]
    command += ["--calibration", str(net.photos), "--no-calibration-cache", *product.options]
    cost = _run(command, out)
    if not target.exists():
        return {"error": cost.get("error", "it made no file")}
    cost.pop("error", None)  # a failed check of an untrained net still leaves a file to measure
    known = versions(("resnet-deploy", "onnxruntime"))
    return {"model": str(target), "bytes": target.stat().st_size, "versions": known, **cost}


def _run(command: list[str], out: Path) -> dict[str, Any]:
    """Run ``command``, and watch the memory of it and its children, 20 times a second."""
    log = out / "log.txt"
    with log.open("wb") as file:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, cwd=out, env=variables()
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, _resident(process.pid))
            if time.perf_counter() - start > _SECONDS:
                process.kill()
                process.wait()
                return {"error": f"not done after {_SECONDS} s"}
            time.sleep(_EVERY)
        seconds = time.perf_counter() - start
    found: dict[str, Any] = {"seconds": seconds, "peak_mb": peak / 1e6}
    if process.returncode:
        found["error"] = last_line(log.read_bytes())
    return found


def _resident(pid: int) -> int:
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.Error:  # it has just ended
        return total
    return total
