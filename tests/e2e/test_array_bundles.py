"""Bundles of a network that gives arrays, run: they are Python's, and what differs is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.bundles.bundling import pack
from resnet_deploy.data.images import to_rgb
from resnet_deploy.data.preprocess import prepare
from resnet_deploy.runners.base import infer_every
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import BundleTarget, SessionSpec
from tests.support.array_nets import maps_model
from tests.support.cpp_bundle import SNIPPETS_PICTURE, build, snippet
from tests.support.native_classifier import BAD_ARGUMENT, CallError, NativeClassifier
from tests.support.native_toolchain import ort_root, tool
from tests.support.npm import ci, find_node, modules, run


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return maps_model(tmp_path_factory.mktemp("model") / "maps.onnx")


def arrays_of(model: Path, picture: Path) -> list[np.ndarray]:
    """What Python gives for a picture."""
    image = to_rgb(Image.open(picture))
    tensor = prepare(image, load(model).preprocess)[None]
    with closing(OrtRunner(model, SessionSpec(threads=1, spin=False))) as runner:
        return [output[0] for output in infer_every(runner, tensor)]


def spoil(folder: Path, value: int, by: float) -> None:
    """Change one recorded value of the case ``grey``."""
    scores = folder / "golden/grey.model.scores"
    values = np.fromfile(scores, "<f4")
    values[value] += by
    values.tofile(scores)


_NODE = """
import { writeFileSync } from 'node:fs';
import { openClassifier, readPicture } from './index.mjs';
const classifier = await openClassifier();
const picture = await readPicture('golden/small.ppm');
const outputs = await classifier.outputs(picture);
for (const { name, shape, data } of outputs) {
  writeFileSync(`${name}.bin`, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  console.log(name, shape.join('x'));
}
const two = await classifier.outputsBatch([await readPicture('golden/as-is.ppm'), picture]);
console.log(two[1].every(({ data }, i) => data.every((value, j) => value === outputs[i].data[j])));
for (const wrong of [classifier.classify(picture), classifier.classifyBatch([picture])]) {
  console.log(await wrong.catch((error) => `${error.name}: ${error.message}`));
}
"""

_COMPILER = {"typescript": "7.0.2", "@types/node": "18.19.130"}


def test_node(model: Path, tmp_path: Path) -> None:
    node, folder = find_node(), tmp_path / "bundle"
    pack(model, BundleTarget.NODE, folder)
    ci(folder)
    assert "PASS 7 cases of model.onnx: inputs are equal, values differ by" in (
        run(["npm", "test"], folder).stdout
    )
    said = run([node, "--input-type=module", "--eval", _NODE], folder).stdout.splitlines()
    refusal = (
        "ClassifierError: model.onnx gives features (maps, colours), not classes: call outputs()"
    )
    assert said == ["maps 3x128x128", "colours 3", "true", refusal, refusal]
    for name, wanted in zip(
        ("maps", "colours"), arrays_of(model, folder / "golden/small.ppm"), strict=True
    ):
        found = np.fromfile(folder / f"{name}.bin", "<f4").reshape(wanted.shape)
        assert np.abs(found - wanted).max() <= 5e-5 * np.abs(wanted).max()

    shown = run([node, "outputs.mjs", "golden/small.ppm"], folder).stdout.splitlines()
    assert shown[0] == "golden/small.ppm"
    assert re.fullmatch(r"  maps: 3 x 128 x 128, norm \d+\.\d+", shown[1])

    (tmp_path / "node_modules").symlink_to(modules(_COMPILER))
    files = [str(file) for file in (*folder.glob("*.mjs"), *folder.glob("lib/*.mjs"))]
    options = ["--noEmit", "--strict", "--noUnusedLocals", "--allowJs", "--checkJs"]
    meant_for = ["--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom"]
    compiler = [node, "node_modules/typescript/bin/tsc", *options, *meant_for, "--types", "node"]
    run([*compiler, *files], tmp_path)

    # Value 1000 of those kept is value 5000 of the map: [0, 39, 8].
    spoil(folder, 1000, 0.5)
    said_so = run(["npm", "test"], folder, expect=1).stdout
    assert re.search(
        r"FAIL grey: maps value \[0, 39, 8\] is \S+, recorded \S+: \S+ of the", said_so
    )
    spoil(folder, 1000, -0.5)
    spoil(folder, -1, 0.5)
    said_so = run(["npm", "test"], folder, expect=1).stdout
    assert re.search(r"FAIL grey: colours value \[2\] is", said_so)


@pytest.mark.slow
def test_cpp(model: Path, tmp_path: Path) -> None:
    built = build(model, tmp_path / "bundle", ort_root(tmp_path / "ort"), optimized=False)
    passed = r"PASS model.onnx: 7 cases, inputs equal, values within \S+ of the largest \(allowed "
    for line, runtime in zip(built.said.splitlines(), ("ONNX Runtime", "OpenVINO"), strict=True):
        assert re.match(passed + rf"5e-05\); {runtime} ", line)
    with closing(NativeClassifier(built.library, built.folder)) as opened:
        pixels = np.asarray(Image.open(built.folder / "golden/small.ppm"))
        found = opened.outputs(pixels)
        wanted = arrays_of(model, built.folder / "golden/small.ppm")
        assert list(found) == ["maps", "colours"]
        for values, right in zip(found.values(), wanted, strict=True):
            assert values.shape == right.shape
            assert np.abs(values - right).max() <= 5e-5 * np.abs(right).max()
        calls: dict[Callable[[], object], str] = {
            lambda: opened.classify(pixels): (
                r"gives features \(maps, colours\), not classes: ask for its outputs"
            ),
            lambda: opened.classify_batch([pixels]): "not classes",
            lambda: opened.outputs(pixels, count=1): "room for 1 outputs is given, there are 2",
            lambda: opened.outputs(pixels, less=1): "buffer of colours is too small: 3 floats",
            lambda: opened.output_shape(2): "there is no output 2: the network has 2",
        }
        for wrong, complaint in calls.items():
            with pytest.raises(CallError, match=complaint) as error:
                wrong()
            assert error.value.code == BAD_ARGUMENT
        on_openvino = NativeClassifier(built.library, built.folder, runtime="openvino")
        with closing(on_openvino):
            for name, values in on_openvino.outputs(pixels).items():
                assert np.abs(values - found[name]).max() <= 5e-5 * np.abs(found[name]).max()
        shown = [
            f"{name} {values.size} {values.flat[0]:g}"
            for name, values in opened.outputs(SNIPPETS_PICTURE).items()
        ]
    for language in ("cpp", "c"):
        assert snippet(built, language, tmp_path).splitlines() == shown
    picture = str(built.folder / "golden/small.ppm")
    described = run([str(built.folder / "build/classify"), picture], tmp_path).stdout
    lines = rf"{re.escape(picture)}\n  maps: 3 x 128 x 128, norm \S+\n  colours: 3, norm \S+\n"
    assert re.fullmatch(lines, described)
    # The model alone, without labels.
    files = (model.read_bytes(), b"")
    with closing(NativeClassifier(built.library, files=files)) as opened:
        assert np.array_equal(opened.outputs(pixels)["maps"], found["maps"])

    selftest = str(built.folder / "build/selftest")
    spoil(built.folder, 1000, 0.5)
    said = run([selftest], tmp_path, expect=1).stdout
    assert re.match(r"FAIL .*case grey: maps value 5000 is \S+, recorded \S+: \S+ of the", said)
    spoil(built.folder, 1000, -0.5)
    spoil(built.folder, -1, np.nan)
    said = run([selftest], tmp_path, expect=1).stdout
    assert re.match(r"FAIL .*case grey: colours value 2 is \S+, recorded \S*nan", said)


@pytest.mark.slow
def test_java(model: Path, tmp_path: Path) -> None:
    java = tool("java", "default-jdk-headless")
    tool("javac", "default-jdk-headless")
    folder, build_folder = tmp_path / "bundle", tmp_path / "build"
    pack(model, BundleTarget.MOBILE, folder)
    where = (f"-DORT_ROOT={ort_root(tmp_path / 'ort')}", "-DCMAKE_BUILD_TYPE=None")
    run([tool("cmake", "cmake"), "-S", "bundle/android", "-B", "build", *where], tmp_path)
    targets = ["--target", "resnet_classifier_jni", "classes"]
    run(["cmake", "--build", "build", *targets], tmp_path, seconds=300)
    command = [java, "-Xcheck:jni", f"-Djava.library.path={build_folder}"]
    command += ["-cp", str(build_folder / "classes"), "resnetdeploy.SelfTest", str(folder)]
    said = run(command, tmp_path).stdout.splitlines()
    for line, file in zip(said, ("model.onnx", "model.ort"), strict=True):
        assert line.startswith(f"PASS {file}: 7 cases, inputs equal, values differ by ")

    spoil(folder, -1, 0.5)
    said = run(command, tmp_path, expect=1).stdout.splitlines()
    assert re.match(r"FAIL: model.onnx with onnxruntime: grey: \S*colours\S* .*2", said[-1])
