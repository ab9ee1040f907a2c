"""Grouped and depthwise nets in int8 beside NNCF on OpenVINO, in one run.

ResNeXt-50 32x4d, MobileNetV2, EfficientNet-Lite0 and RegNetX-200MF by timm's code, with weights
from a seed that look trained (``foreign_nets.py``). All start from the same ONNX file and the same
photos; every other photo calibrates, the others tell how close a file is to fp32 on ONNX Runtime.
Weights that nobody trained lose more in 8 bits than trained ones: the tools are what is compared.
Times are of batch size 1, all subjects interleaved, over ours on ONNX Runtime.

Run it as ``python bench/grouped_peers.py --photos DIR --python VENV/bin/python`` on a machine that
does nothing else; VENV has timm, torchvision, onnx and onnxscript. NNCF gets the environment that
``make bench`` makes for it. It writes ``bench/results/grouped_peers.json`` after each net;
``--only-accuracy`` leaves the times as an earlier run recorded them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from peers.agreement import agree_all
from peers.catalog import PRODUCTS, SUBJECTS
from peers.environments import BENCH, variables
from peers.nets import WORK, Net
from peers.peak import Peak
from peers.produce import produce
from peers.timing import Products, time_all
from rich.console import Console
from rich.table import Table

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.data.datasets import open_dataset
from resnet_deploy.data.loader import prepared_batches
from resnet_deploy.results import to_dict
from resnet_deploy.runners.cpu import environment
from resnet_deploy.spec import BenchSpec, InputOptions, Told
from resnet_deploy.summarize import summarize_artifact

RESULT = BENCH / "results" / "grouped_peers.json"
COMMAND = "python bench/grouped_peers.py"
NETS = ("resnext50_32x4d", "mobilenetv2_100", "efficientnet_lite0", "regnetx_002")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WORDS = ("--range", "0-1", "--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225")
TOLD = Told(input_options=InputOptions(range="0-1", mean=MEAN, std=STD))
CHOSEN = ("ours", "plain-ov", "nncf", "openvino-f32", "ort-fp32")
THREADS = (1, 2)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def prepare(name: str, photos: Path, python: str) -> Net:
    """Return ``name`` of timm with all that a peer needs; what is there already is kept."""
    folder = WORK / f"grouped-{name}"
    file = folder / f"{name}.onnx"
    if not (folder / "test.npy").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        program = str(BENCH / "foreign_nets.py")
        command = [python, program, f"timm:{name}", str(file), "--photos", str(photos)]
        subprocess.run(command, check=True, capture_output=True)
        _write_images(folder, file, photos)
    artifact = load(file, TOLD)
    macs = summarize_artifact(artifact).macs
    return Net(name=name, depth=0, image_size=artifact.preprocess.side, macs=macs, folder=folder)


def _write_images(folder: Path, file: Path, photos: Path) -> None:
    """Write every other photo as a file and as a tensor to calibrate on, the others to test on."""
    own = folder / "photos"
    own.mkdir()
    contract, data = load(file, TOLD).preprocess, open_dataset(photos)
    for number in range(0, len(data), 2):
        data.image(number).convert("RGB").save(own / f"{number:04}.png")
    for name, source, indices in (
        ("calibration", open_dataset(own), range(len(range(0, len(data), 2)))),
        ("test", data, range(1, len(data), 2)),
    ):
        batches = prepared_batches(source, indices, [contract], batch_size=10)
        np.save(folder / f"{name}.npy", np.concatenate([batch.inputs[0] for batch in batches]))


def products_of(net: Net, subjects: Sequence[Any]) -> Products:
    """Make the files of ``subjects``.

    Ours are told what the pictures are, and are written however close: that is what is measured.
    """
    needed = {subject.product for subject in subjects}
    found: Products = {}
    for product in PRODUCTS:
        if product.key not in needed:
            continue
        own = not product.module and not product.given
        options = (*product.options, *WORDS, "--no-verify") if own else product.options
        found[product.key] = produce(replace(product, options=options), net, 1)
        say(f"{net.name} {product.key}: {found[product.key].get('error', 'made')}")
    return found


def show(record: dict[str, Any]) -> None:
    """Print a table of what was recorded."""
    labels = {subject.key: f"{subject.label}, {subject.precision}" for subject in SUBJECTS}
    table = Table("net", "file", "SQNR", "top-1 = fp32", *(f"{n} threads, ms" for n in THREADS))
    for net in NETS:
        close = record["agreement"].get(net)
        times = [record["runs"].get(f"{net}, {threads}") for threads in THREADS]
        for key in CHOSEN if close else ():
            found = close["subjects"][key]
            row = [found.get("error", ""), ""]
            if not row[0]:
                noise = found["sqnr_db"]
                row = ["same" if noise is None else f"{noise:.1f} dB", f"{found['agreement']:.1%}"]
            for run in times:
                timed = {} if run is None else run["subjects"][key]
                against = timed.get("against_ours", {}).get("minima")
                text = f"{timed['min_ms']:.2f}" if "min_ms" in timed else timed.get("error", "")
                row.append(f"{text} ({against:.2f})" if against else text)
            table.add_row(net, labels[key], *row)
    Console(width=160).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--python", default=sys.executable, help="has timm and torchvision")
    parser.add_argument("--seconds", type=float, default=80, help="for each setting, about")
    parser.add_argument("--only", nargs="+", choices=NETS, default=NETS, help="these nets")
    parser.add_argument("--only-accuracy", action="store_true", help="measure no time")
    given = parser.parse_args()
    os.environ.update(variables())
    subjects = sorted(
        (subject for subject in SUBJECTS if subject.key in CHOSEN),
        key=lambda subject: CHOSEN.index(subject.key),
    )
    record: dict[str, Any] = {"runs": {}, "agreement": {}}
    if RESULT.exists():
        record = json.loads(RESULT.read_text(encoding="utf-8"))
    for name in given.only:
        net = prepare(name, given.photos.absolute(), given.python)
        products = products_of(net, subjects)
        record["agreement"][name] = agree_all(subjects, net, products, say)
        for threads in () if given.only_accuracy else THREADS:
            spec = BenchSpec(
                threads=threads, rounds=12, rounds_per_process=3, time_limit=given.seconds
            )
            here, peak = environment(COMMAND), Peak(None)
            timed = time_all(subjects, net, products, spec, here, peak)
            record["runs"][f"{name}, {threads}"] = {**timed, "environment": to_dict(here)}
        record["environment"] = to_dict(environment(COMMAND))
        RESULT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    show(record)


if __name__ == "__main__":
    main()
