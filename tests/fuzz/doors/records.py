"""What this program wrote earlier: cards, recipes, manifests, records, caches."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from resnet_deploy.errors import ResnetDeployError
from tests.fuzz.doors.surface import Surface

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
    )
    return [*own, *others]


def _cards() -> list[bytes]:
    from tests.support.cards import card

    old = [path.read_bytes() for path in sorted(_GOLDEN.glob("card*.json"))]
    return [card().to_json().encode(), *old]


def _manifests() -> list[bytes]:
    files = {"a.txt": hashlib.sha256(b"old").hexdigest()}
    manifest = {"tool": {"name": "resnet-deploy", "version": "0"}, "files": files}
    return [json.dumps(manifest).encode()]


def _benchmarks() -> list[bytes]:
    one = json.loads(_BENCHMARK.read_bytes())
    results = {"results": [one]} if "subjects" in one else one
    return [_BENCHMARK.read_bytes(), json.dumps(results).encode()]


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
        api.compare(_BENCHMARK, path, relative_to="int8")
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
            setting=RunOptions(runner="ort", threads=1, options=(("session.x", "0"),)[:index]),
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
    from resnet_deploy.results import to_dict

    return [json.dumps(to_dict(_tuning())).encode()]


def _resume(path: Path) -> object:
    """Do what ``tune`` does before its first trial, and show what it ends with."""
    from dataclasses import replace

    from resnet_deploy.report import render
    from resnet_deploy.tuning.store import Store

    report = Store(path.parent, "net").resume(replace(_tuning(), trials=(), skipped={}))
    return render(report, 100) if report.trials else None


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
        modules=("training/recipe.py",),
        beyond=("default_recipe", "to_values"),
    ),
    Surface(
        name="manifests",
        file="manifest.json",
        beside=lambda: {"a.txt": b"old"},
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
        beyond=("save", "_write_best", "file"),
        writes=True,
    ),
    Surface(
        name="calibrations",
        file="key.calibration.npz",
        seeds=_calibrations,
        read=_calibrate,
        modules=("quantization/histogram.py",),
        beyond=("sample_rows",),
        writes=True,
    ),
)
