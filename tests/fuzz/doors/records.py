"""What this program wrote earlier: cards, recipes, manifests, records, caches.

Long because each kind of file is made here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from resnet_deploy.errors import ResnetDeployError
from tests.fuzz.doors.surface import Surface
from tests.fuzz.doors.varied import varied

if TYPE_CHECKING:
    from resnet_deploy.results import TuningReport


_BENCHMARK: Final = Path(__file__).parents[3] / "bench" / "results" / "resnet34.json"


_GOLDEN: Final = Path(__file__).parents[2] / "golden"


def _recipes() -> list[bytes]:
    from resnet_deploy import api

    own = [api.recipe_text(recipe=name).encode() for name in ("cifar-fast", "transfer")]
    others = (
        b"epochs = 3\n[from_epochs.2]\nlr = 0.1\n[from_epochs.90]\nepochs = 90\n",
        b"epochs = 3\n[from_epochs.x]\nlr = 0.1\n",
        b"from_epochs = 3\nepochs = 2\nlr = 0.1\n",
        b"epochs = -1\nlr = 0.1\naugment = 'crop'\n",
        b"milestones = [0.5]\naugment = 'no'\ncompile = 1\n",
        b"epochs = " + b"[" * 9999,
        b"epochs = 9" + b"9" * 5000,
    )
    return [*own, *others]


def _matrices() -> list[bytes]:
    whole = b"""
[defaults]
calibration = "photos"
keep-slow = true
[nets.a]
depth = 18
mean = [0.5, 0.5, 0.5]
[nets.b]
weights = "b.pth"
stem = "cifar"
resize = 256
[targets.page]
bundle = "web"
std = 0.5
[targets.server]
exclude = ["layer4.*"]
resize = "48x64"
[[exclude]]
net = "a"
target = "s*"
[[include]]
net = "a"
target = "server"
seed = 3
"""
    least = b"[nets.a]\n[targets.t]\n"
    pair = b"[[include]]\nnet = 'a'\ntarget = 't'\n"
    others = (
        *(
            b"",
            b"[nets]\n",
            b"nets = 3\n",
            b"a = [",
            b"[nets.a]\nseed = 1\n[targets.t]\nseed = 2\n",
        ),
        *(b"[nets.a]\n[nets.A]\n[targets.t]\n", b"[nets.'../a']\n[targets.t]\n", b"\xff"),
        *(least + pair + pair, least + b"[[include]]\nnet = 'a'\n", least + b"exclude = 3\n"),
        *(least + b"[[exclude]]\nnet = 'a'\n", least + b"[[exclude]]\nnet = 'b'\n"),
        *(least + b"[[exclude]]\n", least + b"[[exclude]]\nnet = 3\n"),
        *(least + b"[[include]]\nnet = 'b'\n", least + b"zzzzzz = 3\n", b"[nets.a]\nplain = 1\n"),
        *(b"nets = {a = 3}\n", b"[nets.a]\ndepth = 'x'\n[targets.t]\n"),
        b"".join(b"[%s.n%d]\n" % (kind, n) for kind in (b"nets", b"targets") for n in range(101)),
        least + b"[[exclude]]\n" * 10_001,
    )
    return [whole, *others]


def _read_matrix(path: Path) -> object:
    from resnet_deploy.deployment.matrix_file import read_matrix

    return [
        (cell.place, cell.options.timed, cell.options.content) for cell in read_matrix(path).cells
    ]


def _cards() -> list[bytes]:
    from tests.support.cards import card

    old = [path.read_bytes() for path in sorted(_GOLDEN.glob("card*.json"))]
    new = card().to_json().encode()
    accuracy = {"data": "d", "samples": 9, "top1": 0.5, "top5": 0.4, "of": 10}
    wrong: tuple[dict[str, Any], ...] = (
        {"weights.kind": "elsewhere"},
        {"weights.seed": -1},
        {"weights.sha256": "no digits"},
        {"accuracy": [accuracy]},
        {"accuracy": [{**accuracy, "top5": None, "of": None, "samples": 0}]},
        {"model.image_size": 48},
        {"model.in_channels": 1},
        {"labels": ["a"]},
        {"output": {"k": 3, "kind": "top-k", "stride": 32}},
        {"parity": {"images samples": 0}},
        {"proven_isas": ["none"]},
        {"min_onnxruntime": "new"},
    )
    of_squares = (
        {"steps": [{"name": "verdict", "options": {"proven_isas": "arm64"}}]},
        {"steps": [{"name": "verdict", "options": {"proven_isas": ["arm64"]}}]},
        {"weights.kind": "onnx"},
        {"preprocess.height": 32},
    )
    return [
        *(new, *old, b"[]", *varied(new, *wrong)),
        *varied((_GOLDEN / "card-format-2.json").read_bytes(), *of_squares),
    ]


_BUNDLE: Final = ("a.txt", "b.txt", "models/1/model.onnx", "kept/a.txt")
"""Files of an older bundle; the newer one has the second alone."""


def _manifests() -> list[bytes]:
    files = dict.fromkeys(_BUNDLE, hashlib.sha256(b"old").hexdigest())
    manifest = {"tool": {"name": "resnet-deploy", "version": "0"}, "files": files}
    outside = dict.fromkeys(("/a", "../a", "", "a" * 300, "./a.txt", "kept/../../a"), "")
    plain = json.dumps(manifest).encode()
    changes: tuple[dict[str, Any], ...] = (
        *({"tool.name": "another"}, {"files": {"a.txt": files["a.txt"]}}),
        *({"files": {"a.txt": ["0" * 64]}}, {"files": {**files, **outside}}),
    )
    return [plain, *varied(plain, *changes)]


def _benchmarks() -> list[bytes]:
    one = json.loads(_BENCHMARK.read_bytes())
    results = {"results": [one]} if "subjects" in one else one
    rounds = [subject["rounds_ns"] for subject in one["subjects"]]
    renamed = {f"subjects.{index}.subject.label": f"other {index}" for index in range(len(rounds))}
    start = {"startup_ns": 1, "load_ns": 1, "first_run_ns": 1}
    changes: tuple[dict[str, Any], ...] = (
        renamed,
        {"environment.cpu": "another", "environment.versions.onnx": "2.0"},
        {"subjects.0.rounds_ns": rounds[0][:3], "subjects.1.subject.batch_size": 2},
        {"subjects.0.cold_starts": [start]},
        {"subjects": []},
        {"subjects": 1},
        {"results": 1},
    )
    return [
        *(_BENCHMARK.read_bytes(), json.dumps(results).encode()),
        *varied(_BENCHMARK.read_bytes(), *changes),
    ]


def _read_recipe(path: Path) -> object:
    from resnet_deploy import api
    from resnet_deploy.training.recipe import read_recipe

    return read_recipe(str(path), {"epochs": 3}), api.recipe_text(recipe=str(path))


def _read_card(path: Path) -> object:
    from resnet_deploy.artifact.card import Card

    card = Card.from_json(path.read_text(encoding="utf-8", errors="surrogateescape"))
    return card.to_json(), card.overflow


def _read_manifest(path: Path) -> object:
    from resnet_deploy.bundles.manifest import check_folder, write_folder

    check_folder(path.parent, force=False)
    write_folder(path.parent, {"b.txt": b"new", "manifest.json": b"{}"})
    return None


def _compare(path: Path) -> object:
    from resnet_deploy import api
    from resnet_deploy.report import render

    with contextlib.suppress(ResnetDeployError):
        api.compare(_BENCHMARK, path, relative_to="PyTorch fp32")
    return render(api.compare(path, _BENCHMARK), 100), render(api.compare(_BENCHMARK, path), 100)


_TRIAL: Final = b"a file that was tried"


def _tuning() -> TuningReport:
    """Return a search with three trials, of which the store holds the files."""
    from resnet_deploy.results import Fidelity, PairedTop1, Ratio, Trial, TuningReport
    from resnet_deploy.spec import FileOptions, InputContract, InputFormat, RunOptions, TuneSpec
    from tests.support.environment import HERE

    trials = tuple(
        Trial(
            recipe=FileOptions(input=input_format, int8=index > 0),
            setting=RunOptions(
                runner="ort", threads=1, options=(("session.dynamic_block_base", "4"),)[:index]
            ),
            file="a.onnx",
            sha256=hashlib.sha256(_TRIAL).hexdigest(),
            file_bytes=len(_TRIAL),
            fidelity=Fidelity(
                data="photos",
                samples=9,
                agreeing=9 - index,
                signal_power=1.0,
                noise_power=0.01,
                paired=PairedTop1(samples=9, newly_right=0, newly_wrong=index),
                right=7,
            ),
            rounds_ms=(1.0, 1.5),
            ratio=Ratio(subject="a", reference="b", rounds=(1.5,) * 8, minima=1.5)
            if index
            else None,
        )
        for index, input_format in enumerate((*InputFormat,)[:3])
    )
    return TuningReport(
        model="net.onnx",
        sha256="0" * 64,
        data="photos",
        spec=TuneSpec(max_drop=100.0),
        environment=HERE,
        trials=trials,
        skipped={"openvino": "not installed"},
        preprocess=InputContract.for_size(32),
    )


def _tunings() -> list[bytes]:
    from rich.cells import cell_len

    from resnet_deploy.report import render
    from resnet_deploy.results import to_dict

    # A view and rich's widths of letters are imported by names that are made up: not by a file's.
    render(_tuning(), 100)
    cell_len("宽")
    own = json.dumps(to_dict(_tuning())).encode()
    of_size, strict = {"spec.objective": "size"}, {"spec.max_drop": 1.0, "spec.min_agreement": 0.9}
    lost = {"trials.0.fidelity.paired": None, "trials.0.fidelity.right": 0, **strict}
    other: tuple[dict[str, Any], ...] = (
        *(of_size, strict, lost, {"spec.min_agreement": 1.0, "trials.0.fidelity.agreeing": 1}),
        *({"trials.0.file": "b.onnx"}, {"trials.1.sha256": "1" * 64}, {"trials": []}),
        *({"trials.0.file": "../a.onnx"}, {"trials.0.rounds_ms": []}, {"model": "another.onnx"}),
    )
    return [own, *varied(own, *other)]


def _resume(path: Path) -> object:
    """Do what ``tune`` does before its first trial and at its end, and what ``bundle`` reads.

    The search is for what the file says; where it says that of another model, that is told.
    """
    from dataclasses import replace

    from resnet_deploy.report import render
    from resnet_deploy.results import read_tuning
    from resnet_deploy.tuning.store import Store

    store, own = Store(path.parent, "net"), replace(_tuning(), trials=(), skipped={})
    with contextlib.suppress(ResnetDeployError):
        store.resume(own)
    found = read_tuning(path)
    report = store.resume(replace(own, spec=found.spec))
    if report.trials:
        render(report, 100)
        report.check()
    return None if found.best is None else found.best.measured


_TENSORS: Final = ("input", "relu")


def _calibrations() -> list[bytes]:
    from resnet_deploy.quantization.histogram import ActivationHistograms

    kept = ActivationHistograms.of(_TENSORS)
    values = np.linspace(-1, 3, 240, dtype=np.float32).reshape(2, 3, 5, 8)
    for histogram in kept.histograms.values():
        histogram.add(values)
    kept.images = 2
    return [kept.to_bytes()]


def _calibrate(path: Path) -> object:
    """Take up what is kept, count more, and choose ranges."""
    from resnet_deploy.quantization.calibrate import CalibrationCache
    from resnet_deploy.quantization.histogram import ActivationHistograms
    from resnet_deploy.quantization.ranges import choose_range
    from resnet_deploy.spec import CalibrationMethod

    found = CalibrationCache(folder=path.parent).load("key", _TENSORS, 4)
    if found is None:
        return None
    more = ActivationHistograms.from_bytes(_calibrations()[0])
    found.merge(more)
    return [
        choose_range(histogram, method)
        for histogram in found.histograms.values()
        for method in (CalibrationMethod.MSE, CalibrationMethod.PERCENTILE)
    ]


SURFACES: Final = (
    Surface(
        name="cards",
        file="card.json",
        seeds=_cards,
        read=_read_card,
        modules=("artifact/card.py", "artifact/card_json.py"),
        beyond=("with_step", "with_accuracy", "remade"),
    ),
    Surface(
        name="recipes",
        file="a.toml",
        seeds=_recipes,
        read=_read_recipe,
        modules=("training/recipe.py", "plain_values.py"),
        beyond=("default_recipe", "to_values"),
    ),
    Surface(
        name="matrices",
        file="m.toml",
        seeds=_matrices,
        read=_read_matrix,
        modules=("deployment/matrix_file.py", "spec/matrix.py"),
    ),
    Surface(
        name="manifests",
        file="manifest.json",
        beside=lambda: dict.fromkeys((*_BUNDLE, "kept/own.txt"), b"old"),
        seeds=_manifests,
        read=_read_manifest,
        modules=("bundles/manifest.py",),
        beyond=(
            *("manifest", "described", "size", "_place", "_network", "_runtime", "_case"),
            "_label",
        ),
        writes=True,
    ),
    Surface(
        name="benchmarks",
        file="old.json",
        seeds=_benchmarks,
        read=_compare,
        modules=("benchmark/compare.py",),
    ),
    Surface(
        name="tunings",
        file="tune.json",
        beside=lambda: {"trials/a.onnx": _TRIAL},
        seeds=_tunings,
        read=_resume,
        modules=("tuning/store.py", "results/tuning.py"),
        beyond=("make", "save", "_write_best", "file"),
        writes=True,
    ),
    Surface(
        name="calibrations",
        file="key.calibration.npz",
        seeds=_calibrations,
        read=_calibrate,
        modules=("quantization/histogram.py", "data/npy.py"),
        beyond=("sample_rows",),
        writes=True,
    ),
)
