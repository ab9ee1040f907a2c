"""Bundles of networks that give arrays: what is recorded, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from resnet_deploy.artifact.onnx_file import load, save
from resnet_deploy.bundles.bundling import pack
from resnet_deploy.bundles.contract import Contract, contract_of
from resnet_deploy.bundles.golden import Answer, answers, golden_cases
from resnet_deploy.bundles.outputs import outputs_of
from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.runners.base import infer_every
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import BundleTarget, SessionSpec
from tests.support.array_nets import maps_model
from tests.support.graphs import parse


def answer(*shapes: tuple[int, ...]) -> Answer:
    return Answer(outputs=tuple(np.zeros(shape, np.float32) for shape in shapes), top1=None)


@pytest.fixture(scope="module")
def features(output_exports: Path) -> Contract:
    return contract_of(load(output_exports / "features.onnx"))


def test_small_outputs_are_recorded_whole(features: Contract) -> None:
    found = outputs_of(features, [answer((16, 32, 32), (32, 16, 16), (64, 8, 8))] * 2)
    assert [(one.name, one.shape, one.every) for one in found] == [
        ("c2", (16, 32, 32), 1),
        ("c3", (32, 16, 16), 1),
        ("c4", (64, 8, 8), 1),
    ]


def test_of_large_outputs_a_part_of_every_channel_and_column_is(features: Contract) -> None:
    shapes = ((256, 56, 56), (512, 28, 28), (1024, 14, 14))
    found = outputs_of(features, [answer(*shapes)])
    assert sum(one.recorded for one in found) <= 65_536
    for one in found:
        assert one.every > 1
        kept = np.unravel_index(np.arange(one.size)[:: one.every], one.shape)
        assert one.recorded == len(kept[0])
        for axis, size in zip(kept, one.shape, strict=True):
            assert len(np.unique(axis)) == size


def test_classes_are_recorded_whole(tiny_export: Path) -> None:
    contract = contract_of(load(tiny_export / "resnet8.onnx"))
    (logits,) = outputs_of(contract, [answer((100_000,))])
    assert (logits.name, logits.every) == ("logits", 1)


@pytest.mark.parametrize("other", [((4, 3), (2,), (1,)), ((3, 4), (2,), (0,))])
def test_outputs_have_one_size_that_is_not_zero(
    features: Contract, other: tuple[tuple[int, ...], ...]
) -> None:
    first = other if 0 in other[-1] else ((3, 4), (2,), (1,))
    with pytest.raises(UnsupportedGraphError, match="outputs have one size"):
        outputs_of(features, [answer(*first), answer(*other)])


def test_an_output_that_is_not_of_a_picture_is_refused(tmp_path: Path) -> None:
    """A list of boxes has as many rows as it found, not as there are pictures."""
    path = maps_model(tmp_path / "net.onnx")
    artifact = load(path)
    assert artifact.card is not None
    text = """g (float[N,3,128,128] input) => (float[N,3] means, float[M,3] boxes) {
        means = ReduceMean<axes = [2, 3], keepdims = 0>(input)
        boxes = Concat<axis = 0>(means, means)
    }"""
    save(parse(text, {}), path, artifact.card)
    with pytest.raises(UnsupportedGraphError, match=r"boxes of the shape \(2, 3\) for 1 pictures"):
        pack(path, BundleTarget.CPP, tmp_path / "bundle")


@pytest.mark.parametrize("target", BundleTarget)
def test_every_target_holds_what_the_network_gives(target: BundleTarget, tmp_path: Path) -> None:
    model = maps_model(tmp_path / "maps.onnx")
    report = pack(model, target, tmp_path / "bundle")
    manifest = json.loads((tmp_path / "bundle/manifest.json").read_text())
    assert (manifest["output"]["kind"], manifest["output"]["classes"]) == ("features", 0)
    assert manifest["output"]["names"] == ["maps", "colours"]
    assert manifest["output"]["float32"] == [
        {"name": "maps", "shape": [3, 128, 128], "recorded_every": 5},
        {"name": "colours", "shape": [3], "recorded_every": 1},
    ]
    assert manifest["labels"] is None
    assert not [name for name in report.sizes if name.endswith("labels.txt")]
    case = manifest["golden"][0]
    (recorded,) = case["answers"]
    assert (recorded["top1"], recorded["label"], recorded["top1_is_decided"]) == (None, None, False)
    tensor = np.fromfile(tmp_path / "bundle" / case["input"], "<f4").reshape(case["input_shape"])
    runner = OrtRunner(model, SessionSpec(threads=1, spin=False))
    maps, colours = infer_every(runner, tensor[None])
    runner.close()
    kept = np.concatenate([maps.reshape(-1)[::5], colours.reshape(-1)])
    assert np.array_equal(np.fromfile(tmp_path / "bundle" / recorded["scores"], "<f4"), kept)
    assert kept.size == math.ceil(3 * 128 * 128 / 5) + 3
    readme = (tmp_path / "bundle/README.md").read_text()
    assert "0 classes" not in readme
    assert "maps (3 x 128 x 128) and colours (3)" in readme


def test_a_fixed_batch_gives_the_arrays_of_one_picture(tmp_path: Path) -> None:
    artifact = load(maps_model(tmp_path / "net.onnx", batch=2))
    cases = golden_cases(contract_of(artifact), None, 1, 0)[:1]
    (found,) = answers(artifact, cases)
    assert found.shapes == ((3, 128, 128), (3,))
    assert found.top1 is None
