"""The JavaScript of node and web bundles: its preprocessing beside Python's, and its types."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_deploy.bundles.bundling import pack
from resnet_deploy.bundles.golden import netpbm
from resnet_deploy.bundles.javascript import described_input
from resnet_deploy.data.preprocess import prepare
from resnet_deploy.data.synthetic import synthetic_images
from resnet_deploy.spec import BundleTarget, InputContract, InputFormat, ResizeMode
from tests.support.contracts import drawn
from tests.support.npm import ci, find_node, modules, run

_COMPILER = {"typescript": "7.0.2", "@types/node": "18.19.130"}


@pytest.fixture(scope="module")
def node() -> str:
    return find_node()


@pytest.fixture
def bundle(tiny_export: Path, tmp_path: Path) -> Path:
    """A bundle without the packages that it needs."""
    pack(tiny_export / "resnet8.onnx", BundleTarget.NODE, tmp_path / "bundle")
    return tmp_path / "bundle"


_PREPARE = """
import { readFileSync, writeFileSync } from 'node:fs';
import { readNetpbm } from './lib/netpbm.mjs';
import { prepare } from './lib/preprocess.mjs';
const jobs = JSON.parse(readFileSync('jobs.json', 'utf8'));
jobs.forEach((contract, number) => {
  const { data, shape } = prepare(readNetpbm(readFileSync(`${number}.ppm`)), contract);
  if (String(shape) !== String(contract.inputShape)) throw new Error(`${number}: ${shape}`);
  writeFileSync(`${number}.input`, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
});
"""


def test_preprocessing_is_that_of_python(node: str, bundle: Path) -> None:
    """Bit for bit: contracts of every kind, pictures larger and smaller than the input."""
    random = np.random.default_rng(0)
    noise = synthetic_images(1, 180, 7)[0]
    noise[:, 60:] ^= random.integers(0, 256, (180, 120, 3), dtype=np.uint8)
    specs, pictures, shapes = [], [], []
    for number in range(240):
        height, width = (int(side) for side in random.integers(1, 180, 2))
        spec = drawn(random)
        if number % 10 == 0:  # nothing to resize
            spec = replace(spec, resize=(height, width))
        elif number % 10 == 1:
            spec = replace(spec, format=InputFormat.UINT8_NHWC, resize_in_graph=True)
        elif number % 10 == 2:  # a strip, fitted in
            width, spec = 1, replace(spec, resize_mode=ResizeMode.PAD)
        specs.append(spec)
        pictures.append(noise[:height, :width])
        shapes.append((height, width, spec.channels) if spec.resize_in_graph else spec.shape)
        (bundle / f"{number}.ppm").write_bytes(netpbm(pictures[-1]))
    (bundle / "jobs.json").write_text(json.dumps(list(map(job, specs, shapes))))
    run([node, "--input-type=module", "--eval", _PREPARE], bundle)
    for number, (picture, spec) in enumerate(zip(pictures, specs, strict=True)):
        expected = prepare(Image.fromarray(picture), spec)
        assert (bundle / f"{number}.input").read_bytes() == expected.tobytes(), (number, spec)


def job(spec: InputContract, shape: tuple[int, ...]) -> dict[str, object]:
    """A contract as JavaScript has it, as far as preprocessing goes."""
    return {"inputShape": shape, "preprocess": described_input(spec)}


_CONSUMER = """
import { ClassifierError, contract, openClassifier, readPicture } from './bundle/index.mjs';
import type { Picture, Prediction } from './bundle/index.mjs';

const classifier = await openClassifier({ threads: 1, sessionOptions: { logSeverityLevel: 3 } });
const picture: Picture = { data: new Uint8Array(3), width: 1, height: 1 };
const best: Prediction[] = await classifier.classify(picture, 3);
const each: Prediction[][] = await classifier.classifyBatch([picture, picture]);
const label: string = best[0].label + each[0][0].label;
const { scores } = await classifier.answer(await readPicture(label));
const sum: number = scores.reduce((a, b) => a + b) + contract.numClasses;
export { sum, ClassifierError };
// @ts-expect-error: a path is not a picture.
await classifier.classify('picture.ppm');
// @ts-expect-error: one picture is no batch.
await classifier.classifyBatch(picture);
// @ts-expect-error: the contract can't be changed.
contract.numClasses = 3;
"""


def test_types(node: str, bundle: Path) -> None:
    """What ships is right by its own types, and an app's code is checked against them."""
    folder = bundle.parent
    (folder / "node_modules").symlink_to(modules(_COMPILER))
    ci(bundle)
    (folder / "consumer.mts").write_text(_CONSUMER)
    modules_of = (file for file in bundle.rglob("*.mjs") if "node_modules" not in file.parts)
    shipped = [str(file) for file in modules_of]
    options = ["--noEmit", "--strict", "--noUnusedLocals", "--allowJs", "--checkJs"]
    meant_for = ["--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom"]
    compiler = [node, "node_modules/typescript/bin/tsc", *options, *meant_for, "--types", "node"]
    run([*compiler, "consumer.mts", *shipped], folder)
