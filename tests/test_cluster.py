"""One process and a cluster give the same, whatever happens to workers: on a Ray of these tests.

A little long: a Ray takes seconds to start, and all of these share it.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from resnet_deploy.answers import score_answers
from resnet_deploy.data import shards
from resnet_deploy.data.arrays import ArrayDataset, array_dataset
from resnet_deploy.data.datasets import open_dataset
from resnet_deploy.deployment.matrix import deploy_matrix
from resnet_deploy.errors import DatasetError, MissingDependencyError, RunnerError, SpecError
from resnet_deploy.evaluation import score
from resnet_deploy.fp32_baseline import Fp32Baseline, all_images, quiet_session
from resnet_deploy.processes.ray_cluster import connected
from resnet_deploy.quantization.calibrate import CalibrationCache, observe
from resnet_deploy.quantization.cluster_observers import observed_on_cluster
from resnet_deploy.quantization.histogram import ActivationHistograms, Histogram
from resnet_deploy.results import EvalResult
from resnet_deploy.runners.alike import Machine
from resnet_deploy.runners.answering import AnswerJob, Opening
from resnet_deploy.runners.classes import class_scores
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import ClusterSpec
from resnet_deploy.spec.matrix import CellOptions
from tests.support.calibration import TENSORS, calibration, model
from tests.support.cli import refused, run
from tests.support.deadly import Deadly
from tests.support.environment import HERE
from tests.support.matrix import QuickVerbs, matrix
from tests.support.tiny_model import COLOURS, save_colour_model

LOCAL = ClusterSpec(workers=2)


def closed_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
    return port


def test_the_address_is_one_of_two_words() -> None:
    assert ClusterSpec.parse("ray", 3) == ClusterSpec(workers=3)
    assert ClusterSpec.parse("ray://10.0.0.1:6379") == ClusterSpec(host="10.0.0.1", port=6379)
    assert ClusterSpec.parse("ray://[fe80::1]:6379").host == "fe80::1"
    assert str(ClusterSpec.parse("ray://[fe80::1]:6379")) == "ray://[fe80::1]:6379"
    for wrong in ("", "dask", "ray://", "ray://host", "ray://host:0", "ray://host:70000", "auto"):
        with pytest.raises(SpecError, match=r"is neither ray .* nor ray://HOST:PORT"):
            ClusterSpec.parse(wrong)


def test_a_cluster_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    file = save_colour_model(tmp_path / "model.onnx").path
    np.savez(tmp_path / "data.npz", images=np.zeros((3, 8, 8, 3), np.uint8), labels=[0, 1, 2])
    data = ("--data", tmp_path / "data.npz")
    result = run("evaluate", file, *data, "--cluster", f"ray://127.0.0.1:{closed_port()}")
    refused(result, "no cluster answers at ray://127.0.0.1:", "refused")
    refused(run("evaluate", file, *data, "--cluster", "dask"), "'dask' is neither ray")
    refused(run("evaluate", file, *data, "--workers", 2), "--cluster")


def test_what_answers_but_is_not_this_machines_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    services = importlib.import_module("ray._private.services")
    monkeypatch.setattr(services, "find_node_ids", set)
    with socket.create_server(("127.0.0.1", 0)) as server:
        spec = ClusterSpec(host="127.0.0.1", port=server.getsockname()[1])
        with (
            pytest.raises(RunnerError, match=r"not a node of ray://.*ray start --address=127"),
            connected(spec, 2),
        ):
            pass


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("resnet_deploy.processes.ray_session.importlib.import_module", missing)
    with (
        pytest.raises(MissingDependencyError, match=r"pip install 'resnet-deploy\[cluster\]'"),
        connected(LOCAL, 2),
    ):
        pass


def test_a_machine_that_gives_other_bits_is_refused() -> None:
    here = Machine.here()
    here.check_here()
    others = tuple((name, "1.0" if name == "numpy" else known) for name, known in here.versions)
    with pytest.raises(RunnerError, match=r"has numpy \S+ instead of 1\.0: its results would not"):
        replace(here, versions=others).check_here()
    with pytest.raises(RunnerError, match=r"has a CPU .* instead of \S+ \(sse\)"):
        replace(here, isa=("sse",)).check_here()


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterSpec]:
    handler = signal.getsignal(signal.SIGTERM)
    with connected(LOCAL, 2):
        assert signal.getsignal(signal.SIGTERM) is handler
        yield LOCAL


_KNOCK = """
import sys
from ray._raylet import GcsClient

GcsClient(address=sys.argv[1]).internal_kv_keys(b"", None, 10)
print("in")
"""


def test_a_stranger_is_refused(cluster: ClusterSpec) -> None:
    """Ray's ports are open to every user of the machine: only who has its token may use them."""
    address = importlib.import_module("ray").get_runtime_context().gcs_address
    told = []
    for change in (
        {},
        {"RAY_AUTH_TOKEN": "0" * 64},
        {"RAY_AUTH_TOKEN": "", "RAY_AUTH_MODE": "disabled"},
    ):
        done = subprocess.run(
            [sys.executable, "-c", _KNOCK, address],
            env={**os.environ, **change},
            capture_output=True,
            text=True,
            check=False,
        )
        told.append((done.returncode, done.stdout, "InvalidAuthToken" in done.stderr))
    assert told == [(0, "in\n", False), (1, "", True), (1, "", True)]


def test_what_workers_leave_goes_with_ray(cluster: ClusterSpec) -> None:
    ray = importlib.import_module("ray")
    folder = Path(ray.get(ray.remote(tempfile.gettempdir).remote()))
    assert folder.name.startswith("rd-ray-")
    assert folder.parent == Path(tempfile.gettempdir())


def state(histograms: dict[str, Histogram]) -> bytes:
    return ActivationHistograms(histograms).to_bytes()


def test_calibration_survives_workers(cluster: ClusterSpec, tmp_path: Path) -> None:
    images = calibration()
    expected = state(observe(model(), TENSORS, images, images=45))
    assert isinstance(images.dataset, ArrayDataset)
    killing = replace(images, dataset=Deadly.of(images.dataset, {3, 30}, once=tmp_path))
    told: list[int] = []
    cache = CalibrationCache(folder=tmp_path / "cache", worthwhile_seconds=0)
    for batch in ("N", "4"):
        found = observe(
            model(batch),
            TENSORS,
            killing,
            images=45,
            cluster=cluster,
            cache=cache,
            progress=lambda stage, done, total: told.append(done),
        )
        assert state(found) == expected
    assert {path.name for path in tmp_path.iterdir()} == {"3", "30", "cache"}
    assert told[-1] == 45
    assert len(told) > 8  # 45 images in batches of 7 are seven shards
    assert state(observe(model(), TENSORS, killing, images=45, cache=cache)) == expected


def test_a_picture_that_ends_every_worker_is_named(
    cluster: ClusterSpec, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shards, "_MOST_PICTURES", 2)
    monkeypatch.setattr("resnet_deploy.processes.shards.TRIES", 2)
    images = replace(calibration(), batch_size=2)
    assert isinstance(images.dataset, ArrayDataset)
    killing = replace(images, dataset=Deadly.of(images.dataset, {38}))
    with pytest.raises(DatasetError, match=r"^noise\[38\] ends whatever process reads it \("):
        observe(model(), TENSORS, killing, images=45, cluster=cluster)
    time.sleep(1)  # Ray has noticed, too
    assert capfd.readouterr() == ("", "")


def test_errors_are_those_of_one_process(cluster: ClusterSpec) -> None:
    images = calibration()
    bands = array_dataset("bands", np.zeros((45, 9, 9, 5), np.uint8), None)
    bad = replace(images, dataset=bands)
    messages = []
    for where in (None, cluster):
        with pytest.raises(DatasetError) as caught:
            observe(model(), TENSORS, bad, images=45, cluster=where)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    with pytest.raises(RunnerError, match="refuses"):
        list(observed_on_cluster(cluster, b"nonsense", TENSORS, images, 2))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for name in COLOURS:
        (folder := tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(15):
            pixels = random.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:02}.png")
    (tmp_path / "photos" / COLOURS[1] / "07.png").write_bytes(b"broken")
    return tmp_path / "photos"


def timeless(result: EvalResult) -> EvalResult:
    return replace(result, seconds=0.0)


def test_evaluation(cluster: ClusterSpec, photos: Path, tmp_path: Path) -> None:
    file = save_colour_model(tmp_path / "model.onnx")
    other = save_colour_model(tmp_path / "other.onnx", np.eye(3)[::-1] * 2)
    images = open_dataset(photos)

    def evaluated(where: ClusterSpec | None, **words: Any) -> EvalResult:
        words = {"against": other, "batch_size": 4, "skip_bad": True, **words}
        return timeless(score(file, images, cluster=where, **words))

    for words in ({}, {"limit": 20}, {"batch_size": 1, "against": None}):
        assert evaluated(cluster, **words) == evaluated(None, **words)
    assert evaluated(cluster).skipped == (f"{COLOURS[1]}/07.png",)
    messages = []
    for where in (None, cluster):
        with pytest.raises(DatasetError) as caught:
            evaluated(where, skip_bad=False)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_labels_and_embeddings(cluster: ClusterSpec, photos: Path, tmp_path: Path) -> None:
    from resnet_deploy.spec import OutputKind, Told

    file = save_colour_model(tmp_path / "model.onnx").path
    told = Told(output_kind=OutputKind.EMBEDDING)
    found = [
        replace(
            score_answers(
                file, open_dataset(photos), told=told, cluster=where, skip_bad=True, batch_size=3
            ),
            seconds=0.0,
        )
        for where in (None, cluster)
    ]
    assert found[0] == found[1]


def test_a_picture_that_is_given_up_is_left_out(tmp_path: Path) -> None:
    file = save_colour_model(tmp_path / "model.onnx")
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), np.uint8)
    data = array_dataset("random", pixels, None)
    first, *_ = shards.picture_shards(
        data, [7, 5, 3, 1], batch_size=4, pixels=64, workers=1, tolerant=True
    )
    shard = replace(first, batch_size=2)
    given_up = shard.without(shard.halves()[1].halves()[0], "its process died")
    opening = Opening(artifact=file, path=file.plain)
    answered = AnswerJob.of([opening], class_scores, [file.preprocess]).open()(given_up)
    assert [found.indices for found, _ in answered if found is not None] == [(7, 5), (1,)]
    (((index, why),),) = [bad for _, bad in answered if bad]
    assert (index, str(why)) == (3, "random[3] ends whatever process reads it")


def test_accuracy_of_candidates(cluster: ClusterSpec, photos: Path, tmp_path: Path) -> None:
    """What rankings of layers, budgets and searches measure."""
    (photos / COLOURS[1] / "07.png").unlink()
    file = save_colour_model(tmp_path / "model.onnx")
    other = save_colour_model(tmp_path / "other.onnx", np.eye(3)[::-1] * 2).path
    images = all_images(photos, file.preprocess, seed=0)
    session = quiet_session(2)
    found = []
    for where in (None, cluster):
        told: list[int] = []
        baseline = Fp32Baseline(
            file,
            images,
            labelled=True,
            cluster=where,
            progress=lambda stage, done, total, told=told: told.append(done),
        )
        with closing(OrtRunner(other, session)) as runner:
            found.append((baseline.fidelity(runner, other, session), told))
    assert found[0] == found[1]
    assert found[0][0].samples == 44


def test_cells_of_a_matrix(cluster: ClusterSpec, tmp_path: Path) -> None:
    weights = str(save_colour_model(tmp_path / "model.onnx").path)
    quick = CellOptions(weights=weights, keep_slow=True)
    cells = {name: replace(quick, seed=seed) for seed, name in enumerate("abc")}
    asked = matrix(wrong=replace(quick, name="missing"), **cells)
    found = []
    for name, where in (("here", None), ("there", cluster)):
        report = deploy_matrix(asked, tmp_path / name, QuickVerbs, cluster=where, environment=HERE)
        files = {
            str(path.relative_to(tmp_path / name)): path.read_bytes()
            for path in (tmp_path / name).rglob("*.*")
        }
        found.append((files, [(cell.state, cell.reason, cell.code) for cell in report.cells]))
    assert found[0] == found[1]
    assert len(found[0][0]) == 6


def test_other_files_on_another_machine_are_noticed(
    cluster: ClusterSpec, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = save_colour_model(tmp_path / "model.onnx")
    monkeypatch.setattr(shards, "_MOST_PICTURES", 8)

    class Elsewhere(shards.PictureShard):
        """Says of other bytes what this machine has of its own."""

    def other(**words: Any) -> shards.PictureShard:
        return Elsewhere(**{**words, "fingerprint": "of this machine"})

    monkeypatch.setattr(shards, "PictureShard", other)
    with pytest.raises(DatasetError, match="are not the same files on every machine"):
        score(file, open_dataset(photos), cluster=cluster, skip_bad=True)


def test_a_signal_leaves_nothing_that_runs(tmp_path: Path) -> None:
    """The command has a Ray of its own, in a folder of its own."""
    file = save_colour_model(tmp_path / "model.onnx").path
    np.savez(tmp_path / "data.npz", images=np.zeros((9, 8, 8, 3), np.uint8), labels=[0, 1, 2] * 3)
    command = [sys.executable, "-m", "resnet_deploy", "evaluate", str(file)]
    command += ["--data", str(tmp_path / "data.npz"), "--cluster", "ray", "--workers", "1"]
    (temporary := tmp_path / "t").mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        started: list[psutil.Process] = []
        deadline = time.monotonic() + 60
        while not any("raylet" in child.name() for child in started):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
            started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert said == "resnet-deploy: terminated; no file was left half written\n"
    _, alive = psutil.wait_procs(started, timeout=20)
    assert not alive
    assert list(temporary.iterdir()) == []
