"""The mobile bundle on a desktop JVM, with ARM64 instructions under an emulator, and compiled."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from resnet_deploy.bundles.bundling import pack
from resnet_deploy.errors import MissingDependencyError, SpecError
from resnet_deploy.isa.instruction_sets import ISAS
from resnet_deploy.isa.tools import Tools, fetch_tools, find_tools
from resnet_deploy.results import BundleReport
from resnet_deploy.spec import BundleRuntime, BundleTarget
from tests.support.cross_compiler import (
    IOS,
    LINUX_ARM64,
    android,
    compile_for_android,
    compile_object,
)
from tests.support.native_toolchain import headers, ort_root, run, tool, unavailable

JAVA = Path(__file__).parent / "java"


@dataclass(frozen=True)
class Built:
    """A bundle that was built for the desktop: ``said`` is what its README's commands printed."""

    folder: Path
    said: str

    @property
    def build(self) -> Path:
        return self.folder / "build"


def bundle(model: Path, folder: Path, runtime: BundleRuntime = BundleRuntime.AUTO) -> BundleReport:
    return pack(model, BundleTarget.MOBILE, folder, runtime=runtime)


@pytest.fixture(scope="module")
def built(resnet20_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    for program, package in (
        ("cmake", "cmake"),
        ("ctest", "cmake"),
        ("g++", "g++"),
        ("javac", "default-jdk-headless"),
        ("java", "default-jdk-headless"),
    ):
        tool(program, package)
    folder = tmp_path_factory.mktemp("mobile")
    model = resnet20_export / "resnet20.int8.onnx"
    report = bundle(model, folder / "bundle", BundleRuntime.BOTH)
    root = ort_root(folder / "ort")
    (openvino,) = importlib.import_module("openvino").__path__
    readme = (folder / "bundle/README.md").read_text()
    said = ""
    for command in report.commands:
        assert f"\n{command}\n" in readme
        there = command.replace("/path/of/onnxruntime", str(root))
        there = there.replace("/path/of/openvino", openvino)
        said += run(
            ["sh", "-c", there],
            folder / "bundle",
            CXXFLAGS="-Wall -Wextra -Werror",
            CMAKE_BUILD_PARALLEL_LEVEL="2",
        )
    return Built(folder / "bundle", said)


@pytest.fixture(scope="session")
def arm64() -> Tools:
    """An emulated ARM64 CPU, and ONNX Runtime's own library for it."""
    try:
        fetch_tools()
        return find_tools(ISAS["arm64"])
    except (MissingDependencyError, SpecError) as error:
        unavailable(str(error))


def java(built: Built, main: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        tool("java", "default-jdk-headless"),
        "-Xcheck:jni",
        *("-Xms48m", "-Xmx48m", "-XX:+AlwaysPreTouch"),  # or the heap itself grows
        f"-Djava.library.path={built.build}",
        "-cp",
        f"{built.build / 'classes'}:{built.build / 'more'}",
        f"resnetdeploy.{main}",
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert "in native method" not in done.stdout + done.stderr, "JNI is used wrongly"
    return done


@pytest.mark.slow
def test_the_commands_of_the_readme_pass_natively_and_in_java(built: Built) -> None:
    found = re.findall(r"PASS (\S+): 7 cases, inputs equal.*; (.*) \d+\.\d", built.said)
    each = [
        ("model.onnx", "ONNX Runtime"),
        ("model.onnx", "OpenVINO"),
        ("model.ort", "ONNX Runtime"),
    ]
    assert found == each * 2
    assert built.said.count("the same as one batch") == 3
    assert "100% tests passed" in built.said


def test_a_desktop_without_openvino_runs_onnx_runtime(built: Built, tmp_path: Path) -> None:
    module = built.build / "libresnet_openvino.so"
    module.rename(tmp_path / module.name)
    try:
        done = java(built, "SelfTest", str(built.folder))
    finally:
        (tmp_path / module.name).rename(module)
    assert done.returncode == 0
    first, second, third = done.stdout.splitlines()
    assert first.startswith("PASS model.onnx: 7 cases")
    assert second.startswith("not tested: model.onnx with openvino: OpenVINO is not there: ")
    assert third.startswith("PASS model.ort: 7 cases")


def test_java_names_the_case_that_differs(built: Built, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(built.folder, folder, ignore=shutil.ignore_patterns("build"))
    assert java(built, "SelfTest", str(folder)).returncode == 0
    scores = folder / "golden/small.model.scores"
    changed = np.frombuffer(scores.read_bytes(), "<f4").copy()
    changed[3] += 1
    scores.write_bytes(changed.tobytes())
    done = java(built, "SelfTest", str(folder))
    assert done.returncode == 1
    assert done.stdout.startswith("FAIL: model.onnx with onnxruntime: small: score 3 is ")
    assert "int8 arithmetic" in done.stdout
    grey = folder / "golden/grey.input"
    grey.write_bytes(grey.read_bytes()[:-1])
    scores.write_bytes((built.folder / "golden/small.model.scores").read_bytes())
    assert "grey: the input has 3072 bytes, not 3071" in java(built, "SelfTest", str(folder)).stdout
    (folder / "model.onnx").write_bytes(b"")
    assert "model.onnx is damaged" in java(built, "SelfTest", str(folder)).stdout


def test_features_are_the_same_natively_and_in_java(output_exports: Path, tmp_path: Path) -> None:
    bundle(output_exports / "features.onnx", tmp_path / "bundle")
    folder = tmp_path / "bundle"
    configure = ["cmake", "-S", "android", "-B", "build", "-DCMAKE_BUILD_TYPE=None"]
    run([*configure, f"-DORT_ROOT={ort_root(tmp_path / 'ort')}"], folder)
    run(["cmake", "--build", "build"], folder, CMAKE_BUILD_PARALLEL_LEVEL="2")
    said = run(["ctest", "--test-dir", "build", "--verbose"], folder)
    assert len(re.findall(r"PASS model\.(?:onnx|ort): 7 cases, inputs equal, values", said)) == 4


@pytest.mark.slow
def test_java_survives_what_an_app_should_not_do(built: Built) -> None:
    own = [path for path in built.folder.rglob("*.java") if path.parent.name != "android"]
    sources = [*own, *JAVA.rglob("*.java")]
    run(
        [
            tool("javac", "default-jdk-headless"),
            *("-Xlint:all", "-Werror", "--release", "11", "-d", str(built.build / "more")),
            *map(str, sources),
        ],
        built.folder,
    )
    done = java(built, "Misuse", str(built.folder), "5000")
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    for name, what in {
        "no folder": "IOException: nowhere/model.onnx does not exist",
        "null folder": "IllegalArgumentException: a folder is needed, not null",
        "no such model": "IllegalArgumentException: this bundle has no model other.onnx",
        "no such runtime": "IllegalArgumentException: model.onnx of this bundle does not run on t",
        "threads": "IllegalArgumentException: threads cannot be 100000: use 1 to ",
        "below zero": "IllegalArgumentException: threads cannot be -1: use 1 to ",
        "damaged": "IOException: the model is damaged",
        "null": "IllegalArgumentException: a model is needed, not null",
        "no options": "IllegalArgumentException: a set of options is needed, not null",
        "no labels": "IOException: the list of labels has 0 lines",
        "outputs": "IllegalArgumentException: 7 bytes are too few",
        "labels": "IOException: the list of labels has 11 lines, but the network has 10 classes",
        "emoji": "true",
        "empty": "IllegalArgumentException: ",
        "negative": "IllegalArgumentException: ",
        "truncated": "IllegalArgumentException: ",
        "null pixels": "IllegalArgumentException: a picture is needed, not null",
        "null picture": "IllegalArgumentException: a picture is needed, not null",
        "k": "IllegalArgumentException: k is 0",
        "all": "10",
        "too few pixels": "IllegalArgumentException: a picture of 40 x 40 pixels has 10",
        "huge": "IllegalArgumentException: a picture of 1073741824 x 1073741824",
        "askew": "IllegalArgumentException: a picture can't be turned by 45",
        "one of many": "IllegalArgumentException: picture 1: 7 bytes are too few",
        "none": "IllegalArgumentException: a call takes 1 to 256 pictures, not 0",
        "too many": "IllegalArgumentException: a call takes 1 to 256 pictures, not 257",
        "labels stay": "UnsupportedOperationException",
        "notice": "[]",
        "together": "256",
        "xnnpack": "XNNPACK can't be used, and ONNX Runtime ",
        "openvino": "OpenVINO ",
        "closed": "IllegalStateException: this classifier is closed",
    }.items():
        assert said[name].startswith(what), (name, said[name])
    assert said["openvino"].endswith(": XNNPACK is ONNX Runtime's, and OpenVINO runs without it")
    assert int(said["grown"].split()[0]) < 16


def test_it_compiles_for_phones_as_far_as_packages_reach(built: Built, tmp_path: Path) -> None:
    core = built.folder / "core"
    include = ("-isystem", str(headers()), "-I", str(core / "include"), "-ffp-contract=off")
    made = tmp_path / "made.o"

    apple = compile_object(core / "src/resnet_classifier.cpp", made, IOS, *include)
    assert b"_OrtGetApiBase" in apple
    assert b"libonnxruntime" not in apple  # an app is linked with it, and looks for no file
    arc = ("-fobjc-arc", "-Wnullable-to-nonnull-conversion", "-Wshorten-64-to-32")
    source = built.folder / "ios/ResnetClassifier.mm"
    assert b"_OBJC_CLASS_$_ResnetClassifier" in compile_object(source, made, IOS, *include, *arc)

    sources = built.folder / "android/src/main"
    compile_object(core / "src/resnet_classifier.cpp", made, LINUX_ARM64, *include)
    jni = [f"-isystem{android() / 'usr/include/android' / name}" for name in ("", "nativehelper")]
    source = sources / "cpp/resnet_classifier_jni.cpp"
    compile_object(source, made, LINUX_ARM64, *include, *jni, "-fvisibility=hidden", "-fPIC")
    nm = tool("aarch64-linux-gnu-nm", "binutils-aarch64-linux-gnu")
    symbols = run([nm, "--defined-only", "--extern-only", str(made)], tmp_path).split()
    java = (sources / "java/resnetdeploy/ResnetClassifier.java").read_text()
    natives = set(re.findall(r" native \S+ (\w+)\(", java))
    assert natives
    assert {name for name in symbols if name.startswith("Java_")} == {
        f"Java_resnetdeploy_ResnetClassifier_{name}" for name in natives
    }
    compile_for_android([*sources.rglob("*.java")], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["resnet20.int8", "resnet8"])
def test_the_core_passes_on_arm64(
    arm64: Tools, tiny_export: Path, resnet20_export: Path, tmp_path: Path, model: str
) -> None:
    """The int8 file takes bytes; the fp32 one takes floats, which must be equal to the last bit."""
    emulator = ";".join(arm64.command[: arm64.command.index("-L") + 2])
    (library,) = (arm64.site[0] / "onnxruntime/capi").glob("libonnxruntime.so.*")
    source = (resnet20_export if "20" in model else tiny_export) / f"{model}.onnx"
    bundle(source, tmp_path / "bundle")
    said = ""
    for command in (
        [
            *(tool("cmake", "cmake"), "-S", "android", "-B", "build"),
            f"-DORT_ROOT={ort_root(tmp_path / 'ort', library)}",
            *("-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64"),
            f"-DCMAKE_CXX_COMPILER={tool('aarch64-linux-gnu-g++', 'g++-aarch64-linux-gnu')}",
            f"-DCMAKE_CROSSCOMPILING_EMULATOR={emulator}",
        ],
        ["cmake", "--build", "build", "--target", "selftest"],
        ["ctest", "--test-dir", "build", "--verbose"],
    ):
        said += run(command, tmp_path / "bundle")
    for file in ("model.onnx", "model.ort"):
        assert f"PASS {file}: 7 cases" in said
