"""Triton bundles on Triton's own server.

What stands in for its backends is in ``tests/support/triton_server.py``. Everything else is the
real thing: the parser and the checks of ``config.pbtxt``, HTTP, the batcher, warm-up and labels.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from resnet_deploy.bundles.bundling import pack
from resnet_deploy.spec import BundleRuntime, BundleTarget
from tests.support.array_nets import maps_model
from tests.support.contract_nets import NETS
from tests.support.hostile import NAMES, classes_model, tensors_model
from tests.support.tiny_model import save_colour_model
from tests.support.triton_models import resizing_model, top_2_model
from tests.support.triton_server import running, stand_in


@dataclass(frozen=True)
class Served:
    """Bundles by name, whose models are on the server at ``url``."""

    bundles: Mapping[str, Path]
    repository: Path
    url: str
    log: Path


@pytest.fixture(scope="module")
def served(resnet20_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("triton")
    models = {
        "int8": resnet20_export / "resnet20.int8.onnx",
        "top-2": top_2_model(folder / "top-2.onnx"),
        "fixed batch": save_colour_model(folder / "fixed.onnx", shape=(2, 3, 8, 8)).path,
        "any size": resizing_model(folder / "any-size.onnx"),
        "arrays": maps_model(folder / "arrays.onnx"),
        "hostile classes": classes_model(folder / "$(touch OWNED) classes.onnx").path,
        "hostile tensors": tensors_model(folder / "--hostile-tensors.onnx").path,
        **{name: make(folder / f"{name}.onnx") for name, make in NETS.items()},
    }
    bundles = {name: folder / name for name in models}
    for name, model in models.items():
        pack(model, BundleTarget.TRITON, bundles[name])
    bundles["openvino"] = folder / "openvino"
    openvino = folder / "net-openvino.onnx"
    shutil.copy(models["int8"], openvino)
    pack(openvino, BundleTarget.TRITON, bundles["openvino"], runtime=BundleRuntime.OPENVINO)
    repository = stand_in(bundles.values(), folder / "repository")
    with running(repository, folder / "server.log") as triton:
        yield Served(bundles, repository, triton.url, triton.log)


def client(bundle: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(bundle / "client.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd="/",
    )


@pytest.mark.parametrize(
    "name",
    [
        "int8",
        "openvino",
        "top-2",
        "fixed batch",
        "any size",
        "arrays",
        "hostile classes",
        "hostile tensors",
        *NETS,
    ],
)
def test_the_self_test_passes(served: Served, name: str) -> None:
    done = client(served.bundles[name], "--self-test", "--url", served.url)
    assert done.returncode == 0, done.stderr + served.log.read_text(errors="replace")[-5000:]
    what = "value" if name in ("arrays", "hostile tensors") else "score"
    assert done.stdout.startswith(f"PASS 7 cases; largest difference of a {what} ")
    assert "7 inputs made here are equal" in done.stdout


def test_hostile_names_are_shown_as_text(served: Served) -> None:
    bundle = served.bundles["hostile tensors"]
    shown = client(bundle, bundle / "golden/small.ppm", "--url", served.url).stdout.splitlines()
    assert [line.partition(": 3, norm ")[0] for line in shown[1:]] == [
        f"  {''.join(c if c.isprintable() else ' ' for c in name)}" for name in NAMES
    ]
    assert not list(served.repository.parent.rglob("OWNED"))


def test_arrays_are_shown_and_compared(served: Served, tmp_path: Path) -> None:
    bundle = tmp_path / "arrays"
    shutil.copytree(served.bundles["arrays"], bundle)
    done = client(bundle, bundle / "golden/small.ppm", "--url", served.url)
    lines = done.stdout.splitlines()
    assert lines[1].startswith("  maps: 3 x 128 x 128, norm ")
    assert lines[2].startswith("  colours: 3, norm ")

    scores = bundle / "golden/grey.model.scores"
    values = np.fromfile(scores, "<f4")
    values[1000] += 0.5
    values.tofile(scores)
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"]["golden/grey.model.scores"] = hashlib.sha256(scores.read_bytes()).hexdigest()
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    done = client(bundle, "--self-test", "--url", served.url)
    assert done.returncode == 1
    assert "grey, alone: maps value 5000 is " in done.stderr


def test_requests_ran_together_and_instances_were_warm(served: Served) -> None:
    assert client(served.bundles["int8"], "--self-test", "--url", served.url).returncode == 0
    batches = (served.repository / "resnet20-int8/batches.txt").read_text().split()
    assert batches[0] == "1"
    assert batches.count("8") == 2  # the warm-up of each instance
    assert set(batches) & {"2", "3", "4", "5", "6", "7"}


def test_pictures_are_named(served: Served, tmp_path: Path) -> None:
    bundle = served.bundles["top-2"]
    pictures = [bundle / "golden/photo-like.ppm", bundle / "golden/grey.pgm"]
    done = client(bundle, *pictures, "--top", 2, "--url", served.url)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 6
    assert lines[0] == str(pictures[0])
    manifest = json.loads((bundle / "manifest.json").read_text())
    answers = {case["name"]: case["answers"][0]["label"] for case in manifest["golden"]}
    assert lines[1].endswith(f"  {answers['photo-like']}")
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    failed = client(bundle, tmp_path / "bad.jpg", "--url", served.url)
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: cannot read ")
    assert failed.stderr.count("\n") == 1


def test_what_differs_is_said(served: Served, tmp_path: Path) -> None:
    def failure(change: str) -> str:
        bundle = tmp_path / change
        shutil.copytree(served.bundles["int8"], bundle)
        manifest = json.loads((bundle / "manifest.json").read_text())
        case = manifest["golden"][1]
        scores = bundle / case["answers"][0]["scores"]
        if change == "scores":
            values = np.frombuffer(scores.read_bytes(), "<f4").copy()
            values[3] += 1
            scores.write_bytes(values.tobytes())
            digest = hashlib.sha256(scores.read_bytes()).hexdigest()
            manifest["files"][case["answers"][0]["scores"]] = digest
        elif change == "file":
            scores.write_bytes(scores.read_bytes()[:-1])
        elif change == "outputs":
            manifest["output"]["names"] = ["other"]
        (bundle / "manifest.json").write_text(json.dumps(manifest))
        done = client(bundle, "--self-test", "--url", served.url)
        assert done.returncode == 1
        assert done.stderr.startswith("FAIL ")
        assert done.stderr.count("\n") == 1
        return done.stderr

    assert "as-is, alone: score 3 is " in (said := failure("scores"))
    assert "without --allow-overflow" in said
    assert "as-is.model.scores was changed since the bundle was made" in failure("file")
    assert "is another model" in failure("outputs")


def test_no_server_is_one_line(served: Served) -> None:
    done = client(served.bundles["int8"], "--self-test", "--url", "http://127.0.0.1:9", "--wait", 0)
    assert done.returncode == 1
    assert done.stderr.startswith("FAIL no answer from http://127.0.0.1:9 (")
    assert done.stderr.count("\n") == 1
