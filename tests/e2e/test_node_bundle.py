"""The node bundle, run as its README says: right answers, clear errors, steady memory.

Long because one installation by npm serves all of it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from resnet_deploy.bundles.bundling import pack
from resnet_deploy.bundles.golden import Pixels
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import BundleTarget, SessionSpec
from tests.support.exports import exported
from tests.support.homes import empty_home, left_in
from tests.support.npm import ci, find_node, run

PRECISIONS = {"fp32": "resnet20.onnx", "int8": "resnet20.int8.onnx"}


def bundled(model: Path, folder: Path) -> Path:
    """The bundle of ``model``, as it is after ``npm ci``."""
    pack(model, BundleTarget.NODE, folder)
    ci(folder)
    return folder


def copied(bundle: Path, folder: Path) -> Path:
    """A copy to be changed; the packages stay where they are."""
    shutil.copytree(bundle, folder, symlinks=True)
    return folder


@pytest.fixture(scope="module")
def node() -> str:
    return find_node()


@pytest.fixture(scope="module")
def bundles(
    node: str, resnet20_export: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("node")
    return {key: bundled(resnet20_export / name, root / key) for key, name in PRECISIONS.items()}


@pytest.fixture(scope="module")
def int8(bundles: dict[str, Path]) -> Path:
    return bundles["int8"]


def script(node: str, folder: Path, code: str) -> str:
    """What a module says that stands in ``folder``."""
    return run([node, "--input-type=module", "--eval", code], folder).stdout


def test_onnxruntime_has_nothing_to_send(node: str, int8: Path, tmp_path: Path) -> None:
    """Its telemetry begins with files: an identifier of the machine and a queue of events."""
    command = [node, "--test", "selftest.test.mjs"]
    subprocess.run(command, cwd=int8, env=empty_home(tmp_path), capture_output=True, check=True)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_selftest_passes(bundles: dict[str, Path], precision: str) -> None:
    said = run(["npm", "test"], bundles[precision]).stdout
    assert re.search(r"PASS 7 cases of model\.onnx: inputs are equal", said)
    decided = r"\d cases that decide one \(\d (is|are) too close to call\)"
    assert re.search(rf"classes equal in all (of them|{decided})\n", said)


def test_rare_contracts(node: str, tmp_path: Path) -> None:
    """Pictures of any size, in a fixed batch, to the best three classes."""
    exported(
        tmp_path,
        name="rare",
        input="uint8-nhwc",
        resize_in_graph=True,
        batch_size=2,
        output="top-3",
        int8=False,
    ).check()
    folder = bundled(tmp_path / "rare.onnx", tmp_path / "bundle")
    assert "PASS 7 cases" in run(["npm", "test"], folder).stdout
    # Of five classes that are asked for the network names three.
    said = run([node, "classify.mjs", "golden/grey.pgm"], folder).stdout.splitlines()
    assert len(said) == 1 + 3
    assert script(node, folder, _FIXED) == (
        "model.onnx takes 2 pictures at a time: call classify() for each, or bundle a file that "
        "was exported without --batch-size\n"
    )


_FIXED = """
import { openClassifier } from './index.mjs';
const classifier = await openClassifier();
await classifier.classifyBatch([]).catch((error) => console.log(error.message));
"""

_EVERY = """
import { readFileSync, writeFileSync } from 'node:fs';
import { openClassifier } from './index.mjs';
const all = readFileSync('pictures.bin');
const classifier = await openClassifier();
const calls = [];
for (let at = 0; at < all.length; at += 3072) {
  calls.push(classifier.answer({ data: all.subarray(at, at + 3072), width: 32, height: 32 }));
}
const answers = await Promise.all(calls);
const file = (found) => Buffer.concat(found.map((one) => Buffer.from(one.scores.buffer)));
writeFileSync('scores.bin', file(answers));
const pictures = answers.map((_, at) => ({
  data: all.subarray(3072 * at, 3072 * (at + 1)), width: 32, height: 32,
}));
writeFileSync('batch.bin', file(await classifier.answerBatch(pictures)));
console.log(answers.map((one) => classifier.rank(one, 1)[0].index).join(' '));
"""


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_answers_are_those_of_python(
    node: str,
    bundles: dict[str, Path],
    resnet20_export: Path,
    cifar_pictures: Pixels,
    precision: str,
    tmp_path: Path,
) -> None:
    """All 200 calls at once, which overlap, and in one call: none gets the answer of another."""
    folder = copied(bundles[precision], tmp_path / "bundle")
    (folder / "pictures.bin").write_bytes(cifar_pictures.tobytes())
    top1 = [int(index) for index in script(node, folder, _EVERY).split()]
    found, batch = (
        np.frombuffer((folder / name).read_bytes(), "<f4").reshape(200, 10)
        for name in ("scores.bin", "batch.bin")
    )
    runner = OrtRunner(resnet20_export / PRECISIONS[precision], SessionSpec(threads=1))
    expected = np.concatenate([runner.infer(one[None]) for one in cifar_pictures])
    runner.close()
    assert top1 == expected.argmax(1).tolist()
    manifest = json.loads((folder / "manifest.json").read_text())
    for scores in (found, batch):
        relative = np.abs(scores - expected).max(1) / np.abs(expected).max(1)
        assert relative.max() <= manifest["networks"][0]["tolerances"]["ort"]


_RUN_OUT = """
import { openClassifier, readPicture } from './index.mjs';
const classifier = await openClassifier({ threads: 1 });
const picture = await readPicture('golden/gradient-upright.ppm');
const sizes = [];
for (let call = 1; call <= 10000; call++) {
  await classifier.classify(picture);
  if (call % 2500 === 0) sizes.push(process.memoryUsage.rss());
}
const batch = await classifier.classifyBatch(Array(4000).fill(picture), 1);
if (batch.length !== 4000) throw new Error(batch.length);
sizes.push(process.memoryUsage.rss());
console.log(JSON.stringify(sizes));
"""


def test_memory_does_not_grow(node: str, int8: Path) -> None:
    sizes = json.loads(script(node, int8, _RUN_OUT))
    assert len(sizes) == 5
    # 10,000 answers of 100 bytes each would be one megabyte; an input each, 30.
    assert sizes[3] - sizes[1] < 8e6, sizes
    # The first layers alone would take 250 megabytes for 4,000 pictures at once.
    assert sizes[4] - sizes[3] < 60e6, sizes


_TUNED = """
import { openClassifier } from './index.mjs';
await openClassifier({ sessionOptions: { logSeverityLevel: 1 } });
"""


def test_onnxruntime_is_told_what_tune_found(node: str, int8: Path, tmp_path: Path) -> None:
    """Threads, of which no machine takes more than it has, and further session options."""
    folder = copied(int8, tmp_path / "bundle")
    contract = folder / "lib/contract.mjs"
    text = contract.read_text().replace('"threads": 0', '"threads": 1000')
    config = '"sessionConfig": {"session.intra_op.allow_spinning": "0"}'
    contract.write_text(text.replace('"sessionConfig": {}', config))
    said = run([node, "--input-type=module", "--eval", _TUNED], folder).stderr
    assert "session.intra_op.allow_spinning: 0" in said
    sizes = {int(size) for size in re.findall(r"thread_pool_size: (\d+)", said)}
    assert 1 <= max(sizes) <= len(os.sched_getaffinity(0))


def refused(node: str, folder: Path, picture: str = "golden/grey.pgm") -> str:
    """The one line with which the bundle's program refuses to work."""
    done = run([node, "classify.mjs", picture], folder, expect=2)
    assert done.stdout in ("", f"{picture}\n")
    (line,) = done.stderr.splitlines()
    return line


def test_damage_is_named(node: str, int8: Path, tmp_path: Path) -> None:
    folder = copied(int8, tmp_path / "bundle")
    model, labels = folder / "model.onnx", folder / "labels.txt"
    right = model.read_bytes()

    model.write_bytes(right[:5000] + bytes([right[5000] ^ 1]) + right[5001:])
    assert "model.onnx is damaged: its SHA-256 is" in refused(node, folder)
    model.write_bytes(right[:-1])
    assert f"model.onnx has {len(right) - 1} bytes, not {len(right)}" in refused(node, folder)
    model.unlink()
    assert refused(node, folder) == f"{model} does not exist: copy the whole bundle"
    model.mkdir()
    assert refused(node, folder) == f"{model} is a folder: copy the whole bundle"
    model.rmdir()
    model.write_bytes(right)

    lines = labels.read_text().splitlines(keepends=True)
    labels.write_text("".join(lines[:-1]))
    assert "labels.txt has 9 lines, but the network knows 10 classes" in refused(node, folder)
    labels.write_text("".join(lines))

    old = folder / "lib/contract.mjs"
    old.write_text(
        re.sub(r'"minOnnxRuntime": "[^"]*"', '"minOnnxRuntime": "99.1"', old.read_text())
    )
    assert "is too old: the network needs 99.1 or later" in refused(node, folder)

    (folder / "node_modules").unlink()
    assert refused(node, folder) == f'onnxruntime-node is not installed: run "npm ci" in {folder}/'
    said = run(["npm", "test"], folder, expect=1).stdout
    assert "FAIL onnxruntime-node is not installed" in said


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"P6\n4 4\n255\n" + bytes(47), "is cut short: 4x4 pixels need 48 bytes, it has 47"),
        (b"P6\n0 4\n255\n", "has no pixels: replace it"),
        (b"P6\n4 4\n65536\n" + bytes(96), "has values up to 65536: save it with 8 bits"),
        (b"P6\n4 4", "has a broken header"),
        (b"\x89PNG\r\n", "is not a JPEG, PNG, WebP, GIF, BMP, PPM, PGM or PBM file"),
        (b"", "is not a JPEG, PNG, WebP, GIF, BMP, PPM, PGM or PBM file"),
        (b"P5\n1 180000\n255\n" + bytes(180000), "too elongated"),
    ],
    ids=["cut", "empty", "16-bit", "header", "png", "nothing", "strip"],
)
def test_broken_pictures_are_named(
    node: str, int8: Path, tmp_path: Path, content: bytes, complaint: str
) -> None:
    picture = tmp_path / "picture.ppm"
    picture.write_bytes(content)
    assert complaint in refused(node, int8, str(picture))


def test_one_that_can_not_be_read_does_not_keep_the_others(node: str, int8: Path) -> None:
    files = ["nothing", "golden", "golden/grey.pgm"]
    done = run([node, "classify.mjs", "--top", "2", *files], int8, expect=2)
    assert done.stderr.splitlines() == [
        "nothing does not exist: name the file of a picture",
        "golden is a folder: name the file of a picture",
    ]
    assert done.stdout.startswith("golden/grey.pgm\n")
    assert len(done.stdout.splitlines()) == 3


PROGRAMS = ("classify.mjs", "selftest.test.mjs", "trim.mjs", "examples/server.mjs")


@pytest.mark.parametrize("program", PROGRAMS)
def test_how_a_program_is_used(node: str, int8: Path, program: str) -> None:
    said = run([node, program, "--help"], int8).stdout
    usage = said.splitlines()[0]
    assert usage.startswith(f"usage: node {program}")
    done = run([node, program, "--nonsense"], int8, expect=2)
    assert (done.stdout, done.stderr) == ("", f"Unknown option '--nonsense'; {usage}\n")
    if "[--threads N]" in usage:
        done = run([node, program, "--threads", "100000", "x"], int8, expect=2)
        assert done.stderr.startswith("--threads is 100000, not a whole number from 1 to 1024; ")
    done = run([node, program, *(["x"] if program != "classify.mjs" else [])], int8, expect=2)
    assert len(done.stderr.splitlines()) == 1


_MISUSE = """
import { openClassifier } from './index.mjs';
const classifier = await openClassifier();
const data = new Uint8Array(48);
const right = { data, width: 4, height: 4 };
const calls = [
  () => classifier.classify({ data, width: 4, height: 5 }),
  () => classifier.classify({ data: new Uint8Array(), width: 0, height: 0 }),
  () => classifier.classify({ data, width: -4, height: -4 }),
  () => classifier.classify({ data, width: 2.5, height: 6.4 }),
  () => classifier.classify({ data: [...data], width: 4, height: 4 }),
  () => classifier.classify(),
  () => classifier.classify(right, 0),
  () => classifier.classifyBatch([right, { data, width: 4, height: 5 }]),
  () => classifier.classifyBatch([right, undefined]),
  () => classifier.classifyBatch(right),
  () => openClassifier({ threads: 100000 }),
  () => openClassifier({ sessionOptions: { intraOpNumThreads: -1 } }),
  () => classifier.close().then(() => classifier.classify(right)),
];
for (const call of calls) {
  console.log(await call().catch((error) => `${error.name}: ${error.message}`));
}
"""


def test_misuse_is_named(node: str, int8: Path) -> None:
    assert script(node, int8, _MISUSE).splitlines() == [
        "ClassifierError: a picture of 4x5 RGB pixels has 60 bytes, not 48",
        "ClassifierError: a picture of 0x0 pixels can't be classified",
        "ClassifierError: a picture of -4x-4 pixels can't be classified",
        "ClassifierError: a picture of 2.5x6.4 pixels can't be classified",
        "ClassifierError: a picture is { data, width, height } with its bytes in a Uint8Array",
        "ClassifierError: a picture is { data, width, height } with its bytes in a Uint8Array",
        "ClassifierError: k is 0: ask for at least one class",
        "ClassifierError: pictures[1]: a picture of 4x5 RGB pixels has 60 bytes, not 48",
        "ClassifierError: pictures[1]: "
        "a picture is { data, width, height } with its bytes in a Uint8Array",
        "ClassifierError: a batch is an array of pictures",
        "ClassifierError: threads is 100000: say how many CPUs a call may use, 1 to 1024, or 0 to "
        "leave that to ONNX Runtime",
        "ClassifierError: intraOpNumThreads is -1: say how many CPUs a call may use, 1 to 1024, or "
        "0 to leave that to ONNX Runtime",
        "ClassifierError: the classifier is closed: open another one",
    ]


def test_the_selftest_names_what_differs(node: str, int8: Path, tmp_path: Path) -> None:
    folder = copied(int8, tmp_path / "bundle")
    scores = folder / "golden/small.model.scores"
    right = scores.read_bytes()
    values = np.frombuffer(right, "<f4").copy()
    values[3] += 0.5
    scores.write_bytes(values.tobytes())
    said = run(["npm", "test"], folder, expect=1).stdout
    assert re.search(r"FAIL small: score 3 is \S+, recorded \S+: \S+ of the largest", said)
    assert "int8 arithmetic of this CPU may differ" in said
    scores.write_bytes(right)

    tensor = folder / "golden/photo-like.input"
    wrong = bytearray(tensor.read_bytes())
    wrong[(5 * 32 + 7) * 3 + 2] ^= 4
    tensor.write_bytes(wrong)
    said = run(["npm", "test"], folder, expect=1).stdout
    assert re.search(r"FAIL photo-like: input value \[5, 7, 2\] is \d+, recorded \d+; 1 of", said)
    assert "arithmetic" not in said
