"""Picture files through the bundles for C++, Node.js and the browser, beside Python.

    python bench/same_pixels.py --ort-root DIR --cifar TEST --photos DIR

``TEST`` has CIFAR-10 images as JPEG, ``DIR`` of ``--photos`` photos of any size, ``DIR`` of
``--ort-root`` an unpacked release of ONNX Runtime of the version that Python has here;
``python -m tests.support.native_toolchain DIR`` makes one of the installed wheel. Needs CMake, a
C++ compiler, libjpeg-turbo, Node.js with npm, and Chromium.

Each target opens the files themselves: decoding, resizing and the network are all its own. CIFAR
goes through the pretrained ResNet-20 in fp32 and int8; the photos through it as well, and through a
ResNet-18 at 224x224, whose weights are random.

The exit code is 1 unless every picture has Python's best class and probabilities within 1e-4.
``results/same_pixels.json`` gets what was found.
"""

from __future__ import annotations

import argparse
import base64
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.bundles.bundling import pack
from resnet_deploy.data.images import read_image
from resnet_deploy.data.preprocess import prepare
from resnet_deploy.runners.cpu import environment
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import BundleTarget, SessionSpec
from tests.support import npm
from tests.support.browser import find_browser
from tests.support.devtools import open_browser
from tests.support.static_server import serve
from tests.support.web_pages import open_page

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "same_pixels.json"
LIMIT = 1e-4
"""How far a probability may be off."""

SHARP = "0.35.5"
TRAINED = ("resnet20-cifar10.onnx", "resnet20-cifar10.int8.onnx")

Scores = NDArray[np.float32]
"""One row a picture."""

_PROJECT = """\
cmake_minimum_required(VERSION 3.16)
project(same_pixels LANGUAGES C CXX)
add_subdirectory("${BUNDLE}" bundle)
add_executable(child "${SOURCE}")
target_link_libraries(child PRIVATE resnet_classifier_headers resnet_pictures)
"""

_NODE = """
import { readFileSync, writeFileSync } from 'node:fs';
import { openClassifier, readPicture } from './index.mjs';
const classifier = await openClassifier({ sessionOptions: { intraOpNumThreads: 1 } });
const scores = [];
for (const file of JSON.parse(readFileSync('files.json', 'utf8'))) {
  scores.push(Buffer.from((await classifier.answer(await readPicture(file))).scores.buffer));
}
writeFileSync('scores.bin', Buffer.concat(scores));
"""

_PAGE = """
(async () => {
  const [{ openBundle }, { decode }] = await Promise.all(
    [import('./app/bundle.js'), import('./app/decode.js')]);
  globalThis.opened ??= openBundle(() => undefined);
  const [classifier] = (await globalThis.opened).classifiers;
  const scores = [];
  for (const number of NUMBERS) {
    const blob = await (await fetch(`pictures/${number}`)).blob();
    const { scores: row } = await classifier.answer(await decode(new File([blob], `${number}`)));
    scores.push(new Uint8Array(row.buffer, row.byteOffset, row.byteLength).toBase64());
  }
  return scores;
})()
"""


@dataclass(frozen=True)
class Found:
    """How one target answers beside Python."""

    model: str
    pictures: str
    count: int
    target: str
    top1_equal: int
    largest_difference: float
    equal_scores: int

    @property
    def passed(self) -> bool:
        """Whether all is as it must be."""
        return self.top1_equal == self.count and self.largest_difference <= LIMIT


def in_python(model: Path, files: Sequence[Path], folder: Path) -> Scores:
    artifact = load(model)
    with closing(OrtRunner(model, SessionSpec(threads=1, spin=False))) as runner:
        rows = [
            runner.infer(prepare(read_image(file), artifact.preprocess)[None]) for file in files
        ]
    return np.concatenate(rows).astype(np.float32)


def in_cpp(ort: Path) -> Callable[[Path, Sequence[Path], Path], Scores]:
    """Return what builds the bundle of a model and runs it."""

    def run(model: Path, files: Sequence[Path], folder: Path) -> Scores:
        pack(model, BundleTarget.CPP, folder / "bundle")
        (folder / "CMakeLists.txt").write_text(_PROJECT)
        source = HERE.absolute() / "same_pixels_child.cpp"
        options = (f"-DORT_ROOT={ort}", f"-DBUNDLE={folder / 'bundle'}", f"-DSOURCE={source}")
        for command in (
            ["cmake", "-S", str(folder), "-B", str(folder / "build"), *options],
            ["cmake", "--build", str(folder / "build"), "--target", "child"],
        ):
            subprocess.run(command, check=True, capture_output=True)
        names = "".join(f"{file}\n" for file in files)
        command = [str(folder / "build/child"), str(folder / "bundle"), str(folder / "scores")]
        subprocess.run(command, input=names, text=True, check=True)
        return np.fromfile(folder / "scores", "<f4").reshape(len(files), -1)

    return run


def in_node(model: Path, files: Sequence[Path], folder: Path) -> Scores:
    bundle = folder / "bundle"
    pack(model, BundleTarget.NODE, bundle)
    packages = json.loads((bundle / "package.json").read_text())["dependencies"]
    modules = npm.modules({**packages, "sharp": SHARP})
    (bundle / "node_modules").symlink_to(modules, target_is_directory=True)
    (bundle / "files.json").write_text(json.dumps([str(file) for file in files]))
    command = [npm.find_node(), "--input-type=module", "--eval", _NODE]
    subprocess.run(command, cwd=bundle, check=True)
    return np.fromfile(bundle / "scores.bin", "<f4").reshape(len(files), -1)


def in_browser(model: Path, files: Sequence[Path], folder: Path) -> Scores:
    bundle = folder / "site" / "bundle"
    pack(model, BundleTarget.WEB, bundle)
    npm.ci(bundle)
    npm.run(["npm", "run", "postinstall"], bundle)
    rows: list[Scores] = []
    at_once = 20
    with (
        serve(folder / "site", "bundle") as site,
        open_browser(find_browser(), folder) as browser,
    ):
        site.replaced.update({f"pictures/{i}": file.read_bytes() for i, file in enumerate(files)})
        tab = open_page(browser, site.address)
        for start in range(0, len(files), at_once):
            numbers = json.dumps(list(range(start, min(start + at_once, len(files)))))
            answers = tab.evaluate(_PAGE.replace("NUMBERS", numbers))
            rows.extend(np.frombuffer(base64.b64decode(row), "<f4") for row in answers)
    return np.stack(rows)


def probabilities(scores: Scores) -> NDArray[np.float64]:
    powers = np.exp(scores.astype(np.float64) - scores.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def compared(model: Path, pictures: str, target: str, found: Scores, wanted: Scores) -> Found:
    if found.shape != wanted.shape:
        raise SystemExit(f"{target} gives {found.shape} scores, Python {wanted.shape}")
    return Found(
        model=model.name,
        pictures=pictures,
        count=len(wanted),
        target=target,
        top1_equal=int((found.argmax(-1) == wanted.argmax(-1)).sum()),
        largest_difference=float(abs(probabilities(found) - probabilities(wanted)).max()),
        equal_scores=int((found == wanted).all(-1).sum()),
    )


def models(folder: Path, own: Path) -> list[tuple[Path, tuple[str, ...]]]:
    """Return the networks, and which pictures go through each."""
    command = [sys.executable, "-m", "resnet_deploy", "export", "--depth", "18", "-o", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    trained = [(own / name, ("cifar", "photos")) for name in TRAINED]
    large = [(folder / name, ("photos",)) for name in ("resnet18.onnx", "resnet18.int8.onnx")]
    return [*trained, *large]


def main() -> None:
    """Compare, print and record; exit with 1 where a picture differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ort-root", type=Path, required=True)
    parser.add_argument("--cifar", type=Path, required=True, help="CIFAR-10 test images as JPEG")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--artifacts", type=Path, default=HERE.parent / "artifacts")
    parser.add_argument("--json", type=Path, default=RESULTS)
    asked = parser.parse_args()

    files = {
        name: sorted(file for file in root.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg"))
        for name, root in (("cifar", asked.cifar.absolute()), ("photos", asked.photos.absolute()))
    }
    if missing := [name for name, found in files.items() if not found]:
        parser.error(f"no JPEG files below --{missing[0]}")
    targets = {
        "C++": in_cpp(asked.ort_root.absolute()),
        "Node.js": in_node,
        "Chromium": in_browser,
    }
    runs: list[Found] = []
    with tempfile.TemporaryDirectory() as name:
        for model, kinds in models(Path(name) / "resnet18", asked.artifacts):
            # All kinds at once: a target is built, and a browser started, once a model.
            everything = [file for kind in kinds for file in files[kind]]
            wanted = in_python(model, everything, Path(name))
            for target, answers in targets.items():
                with tempfile.TemporaryDirectory(dir=name) as folder:
                    found = answers(model, everything, Path(folder))
                start = 0
                for kind in kinds:
                    end = start + len(files[kind])
                    part = slice(start, end)
                    run = compared(model, kind, target, found[part], wanted[part])
                    start = end
                    runs.append(run)
                    print(
                        f"{run.model:28} {run.pictures:7} {run.target:9} top-1 equal "
                        f"{run.top1_equal} of {run.count}, probabilities within "
                        f"{run.largest_difference:.1e}, scores equal in {run.equal_scores}: "
                        f"{'within' if run.passed else 'NOT within'} {LIMIT:g}",
                        flush=True,
                    )
    here = environment("python bench/same_pixels.py")
    record: dict[str, Any] = {
        "cpu": here.cpu,
        "versions": here.versions,
        "limit": LIMIT,
        "runs": [{**vars(run), "passed": run.passed} for run in runs],
    }
    write_atomically(asked.json, (json.dumps(record, indent=1) + "\n").encode())
    sys.exit(0 if all(run.passed for run in runs) else 1)


if __name__ == "__main__":
    main()
