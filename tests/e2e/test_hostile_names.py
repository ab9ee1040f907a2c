"""Bundles of nets with hostile names, compiled and run: every name comes back, none is obeyed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_deploy.bundles.bundling import pack
from resnet_deploy.bundles.contract import one_line
from resnet_deploy.spec import BundleTarget
from resnet_deploy.visible import visible
from tests.support import npm
from tests.support.browser import find_browser
from tests.support.devtools import Tab, open_browser
from tests.support.hostile import IN_JAVASCRIPT, NAMES, classes_model, tensors_model
from tests.support.native_toolchain import NATIVE_TEMPLATES, STRICT, ort_root, run, tool
from tests.support.static_server import serve
from tests.support.web_pages import clean, open_page, verdict_of

JAVA = Path(__file__).parent / "java"

LABELS = [one_line(name) or f"class {index}" for index, name in enumerate(NAMES)]
"""As bundles have the names of classes: one a line."""

FOLDER = "it's $(touch OWNED) `touch OWNED` \N{POUND SIGN} & x"
"""CMake builds here; where it can't is :data:`UNBUILDABLE`."""

UNBUILDABLE = ('a"b', "a;b", "a|b", "a:b", "a\nb", "a${HOME}b", "a$<1:x>b")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "classes": classes_model(folder / "$(touch OWNED) & ';\".onnx").path,
        "tensors": tensors_model(folder / "--help.onnx").path,
        "javascript": tensors_model(folder / "<b>{{ 1 }}.onnx", IN_JAVASCRIPT).path,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / FOLDER
    made.mkdir()
    return made


@pytest.fixture(autouse=True)
def nothing_is_obeyed(tmp_path: Path) -> object:
    yield
    assert not list(tmp_path.rglob("OWNED"))
    assert not Path("OWNED").exists()


def test_cpp(models: dict[str, Path], folder: Path) -> None:
    for program in ("cmake", "g++"):
        tool(program, program)
    report = pack(models["tensors"], BundleTarget.CPP, folder / "cpp")
    configure, build, selftest = report.commands
    root = ort_root(folder / "ort")
    commands = (
        configure.replace("/path/of/onnxruntime", '"$ORT"') + " -DCMAKE_BUILD_TYPE=Debug",
        f"{build} --target selftest classify",
        selftest,
        "build/classify golden/grey.pgm",
    )
    for command in commands:
        said = run(
            ["sh", "-c", command],
            folder / "cpp",
            ORT=str(root),
            CXXFLAGS=f"-O0 {STRICT}",
        )
        if command == selftest:
            assert said.startswith("PASS model.onnx: 7 cases")
    shown = [line.rpartition(": 3, norm ")[0] for line in said.splitlines()[1:]]
    # One mark for each that is spelled elsewhere, line breaks among them.
    assert shown == [f"  {''.join('?' if steers(c) else c for c in name)}" for name in NAMES]


@pytest.mark.parametrize("name", UNBUILDABLE)
@pytest.mark.parametrize("target", ["cpp", "mobile/android"])
def test_cmake_says_where_it_cannot_build(target: str, name: str, tmp_path: Path) -> None:
    """Its own files would be nonsense, and so would be what it says of them."""
    tool("cmake", "cmake")
    lists = (NATIVE_TEMPLATES.parent / target / "CMakeLists.txt").read_text()
    before = lists.partition("cmake_minimum_required(VERSION 3.16)\n")[2].partition("\nproject(")[0]
    assert before == '{% include "partials/folder_names.cmake" %}'
    check = (NATIVE_TEMPLATES.parent / "partials/folder_names.cmake").read_text()
    (tmp_path / name).mkdir()
    (tmp_path / "good (£ & $ 'x' @y@ #)").mkdir()
    for folder in tmp_path.iterdir():
        (folder / "CMakeLists.txt").write_text(
            f"cmake_minimum_required(VERSION 3.16)\n{check}project(x NONE)\n"
        )
        done = subprocess.run(
            ["cmake", "-S", ".", "-B", "build"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) is (folder.name != name)
        if done.returncode:
            assert "copy this one to another place" in " ".join(done.stderr.split())
            assert "Syntax" not in done.stderr


def steers(character: str) -> bool:
    return character == "\n" or visible(character) != character


@pytest.mark.slow
def test_mobile(models: dict[str, Path], folder: Path) -> None:
    javac = Path(tool("javac", "default-jdk-headless")).resolve()
    jdk = javac.parents[1] / "include"
    root = ort_root(folder / "ort")
    for kind in ("classes", "tensors"):
        bundle = folder / kind
        pack(models[kind], BundleTarget.MOBILE, bundle)
        source = bundle / "core/src/resnet_classifier.cpp"
        jni = folder / "jni.o"
        flags = ["-std=c++17", "-O0", "-fPIC", *STRICT.split(), "-I", f"{bundle}/core/include"]
        if not jni.exists():  # knows no names
            here = bundle / "android/src/main/cpp/resnet_classifier_jni.cpp"
            headers = ["-isystem", str(jdk), "-isystem", str(jdk / "linux")]
            run(["g++", *flags, *headers, "-c", str(here), "-o", str(jni)], folder)
        library = ["-shared", "-o", str(bundle / "libresnet_classifier_jni.so")]
        there = ["-isystem", str(root / "include"), f"-Wl,-rpath,{root / 'lib'}"]
        run(["g++", *flags, *there, str(source), str(jni), *library, "-ldl", "-pthread"], folder)
    sources = [
        *(folder / "tensors/android/src/main/java/resnetdeploy").glob("*.java"),
        folder / "tensors/desktop/resnetdeploy/SelfTest.java",
        JAVA / "resnetdeploy/Names.java",
    ]
    run([str(javac), "-encoding", "UTF-8", "-d", "java", *map(str, sources)], folder)

    def java(kind: str, main: str, *, expect: int = 0) -> str:
        where = [f"-Djava.library.path={folder / kind}", "-cp", "java"]
        return run([tool("java", ""), *where, f"resnetdeploy.{main}", kind], folder, expect=expect)

    for kind, names in {"classes": LABELS, "tensors": list(NAMES)}.items():
        lines = java(kind, "Names").splitlines()
        assert [bytes.fromhex(line).decode() for line in lines] == names
    assert java("tensors", "SelfTest").startswith("PASS model.onnx: 7 cases")
    broken = folder / "tensors/golden/grey.model.scores"
    values = np.fromfile(broken, "<f4").reshape(len(NAMES), -1)
    values[next(place for place, name in enumerate(NAMES) if "\x1b" in name)] += 100
    values.tofile(broken)
    failure = java("tensors", "SelfTest", expect=1)
    assert failure.startswith("FAIL: model.onnx with ")
    assert not any(map(steers, failure.rstrip("\n")))


_NAMES_IN_NODE = """
import { openClassifier } from './index.mjs';
const classifier = await openClassifier({ threads: 1 });
const picture = { data: new Uint8Array(192), width: 8, height: 8 };
const outputs = await classifier.outputs(picture);
console.log(JSON.stringify([classifier.labels, outputs.map(({ name }) => name)]));
"""


_FAILURES_IN_NODE = """
import { goldenResults, verdict } from './lib/selftest.mjs';
const case_ = { name: 'grey', picture: 'p', input: 'i', input_shape: [1], answers: [] };
case_.answers.push({ network: 'model.onnx', scores: 's', top1_is_decided: false });
const floats = (...values) => new Uint8Array(Float32Array.from(values).buffer);
const files = { p: new TextEncoder().encode('P5 1 1 255 x'), i: floats(0), s: floats(1) };
for (const name of JSON.parse(process.argv[1])) {
  const classifier = {
    contract: { outputs: [{ every: 1 }], numClasses: 0 },
    network: { file: 'model.onnx', precision: 'fp32', tolerance: 0.1 },
    prepare: () => ({ data: new Float32Array(1), shape: [1] }),
    run: async () => ({ outputs: [{ name, shape: [1], data: Float32Array.of(5) }] }),
  };
  const results = [];
  for await (const one of goldenResults(classifier, { golden: [case_] }, async (f) => files[f])) {
    results.push(one);
  }
  console.log(JSON.stringify(verdict(results, classifier).message));
}
"""


@pytest.mark.parametrize("kind", ["classes", "javascript"])
def test_node(models: dict[str, Path], folder: Path, kind: str) -> None:
    node = npm.find_node()
    pack(models[kind], BundleTarget.NODE, folder / "node")
    npm.ci(folder / "node")
    said = npm.run(["npm", "test"], folder / "node").stdout
    assert "PASS 7 cases of model.onnx: inputs are equal" in said
    command = [node, "--input-type=module", "--eval", _NAMES_IN_NODE]
    labels, outputs = json.loads(npm.run(command, folder / "node").stdout)
    if kind == "classes":
        assert labels == LABELS
    else:
        assert outputs == list(IN_JAVASCRIPT)
    command = [node, "--input-type=module", "--eval", _FAILURES_IN_NODE, json.dumps(NAMES)]
    failures = map(json.loads, npm.run(command, folder / "node").stdout.splitlines())
    for name, message in zip(NAMES, failures, strict=True):
        shown = "".join("?" if steers(letter) else letter for letter in name)
        value = "value [0] is 5, recorded 1: 4.0e+0 of the largest, allowed 0.1"
        assert message == f"FAIL grey: {shown} {value}"


def shown_names(tab: Tab, picture: Path) -> list[str]:
    """Return what the page calls classes or outputs, once it is done with ``picture``."""
    start = json.dumps(f"{picture.name}: ")
    tab.wait_for(f"document.getElementById('status').textContent.startsWith({start})")
    found: list[str] = tab.evaluate(
        "[...document.querySelectorAll('#classes li')].map((l) => l.firstElementChild.textContent)"
    )
    return found


def test_web(models: dict[str, Path], folder: Path) -> None:
    program = find_browser()
    picture = folder / "<b>'\"${1}.png"
    Image.new("RGB", (8, 8), (9, 99, 199)).save(picture)
    with open_browser(program, folder) as browser:
        for kind in ("classes", "javascript"):
            bundle = folder / kind
            pack(models[kind], BundleTarget.WEB, bundle)
            npm.ci(bundle)
            npm.run(["npm", "run", "postinstall"], bundle)
            with serve(folder, kind) as site:
                tab = browser.open(f"{site.address}/selftest.html")
                assert verdict_of(tab)["passed"]
                clean(tab, site.address)
                tab = open_page(browser, site.address)
                tab.choose("#file", picture)
                shown = shown_names(tab, picture)
                if kind == "classes":
                    assert set(shown) <= set(LABELS)
                    assert len(shown) == 5
                else:
                    assert shown == list(IN_JAVASCRIPT)
                    (told,) = tab.evaluate(
                        "[...document.querySelectorAll('h1 + p')].map((line) => line.textContent)"
                    )
                    assert told.startswith(f"Gives {visible(', '.join(IN_JAVASCRIPT))}. Runs in")
                assert tab.evaluate("document.scripts.length") == 1
                assert tab.evaluate("document.title") == models[kind].stem
                clean(tab, site.address)
