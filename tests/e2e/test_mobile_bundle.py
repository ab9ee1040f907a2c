"""The mobile bundle on a desktop JVM, and its core with ARM64 instructions under an emulator."""

from __future__ import annotations

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
from resnet_deploy.spec import BundleTarget
from tests.support.native_toolchain import ort_root, run, tool, unavailable

JAVA = Path(__file__).parent / "java"


@dataclass(frozen=True)
class Built:
    """A bundle that was built for the desktop: ``said`` is what its README's commands printed."""

    folder: Path
    said: str

    @property
    def build(self) -> Path:
        return self.folder / "build"


def bundle(model: Path, folder: Path) -> BundleReport:
    return pack(model, BundleTarget.MOBILE, folder)


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
    report = bundle(resnet20_export / "resnet20.int8.onnx", folder / "bundle")
    root = ort_root(folder / "ort")
    readme = (folder / "bundle/README.md").read_text()
    said = ""
    for command in report.commands:
        assert f"\n{command}\n" in readme
        there = command.replace("/path/of/onnxruntime", str(root))
        said += run(["sh", "-c", there], folder / "bundle", CXXFLAGS="-Wall -Wextra -Werror")
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
    for file in ("model.onnx", "model.ort"):
        assert f"PASS {file}: 7 cases" in built.said
    assert "PASS: 2 model files x 7 cases" in built.said
    assert "100% tests passed" in built.said


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
    assert done.stdout.startswith("FAIL: model.onnx, small: score 3 is ")
    assert "int8 arithmetic" in done.stdout
    grey = folder / "golden/grey.input"
    grey.write_bytes(grey.read_bytes()[:-1])
    scores.write_bytes((built.folder / "golden/small.model.scores").read_bytes())
    assert "grey: the input has 3072 bytes, not 3071" in java(built, "SelfTest", str(folder)).stdout
    (folder / "model.onnx").write_bytes(b"")
    assert "model.onnx is damaged" in java(built, "SelfTest", str(folder)).stdout


@pytest.mark.slow
def test_java_survives_what_an_app_should_not_do(built: Built) -> None:
    sources = [*built.folder.rglob("*.java"), *JAVA.rglob("*.java")]
    run(
        [
            tool("javac", "default-jdk-headless"),
            *("-Xlint:all", "-Werror", "--release", "11", "-d", str(built.build / "more")),
            *map(str, sources),
        ],
        built.folder,
    )
    done = java(built, "Misuse", str(built.folder), "10000")
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    for name, what in {
        "no folder": "IOException: nowhere/model.onnx does not exist",
        "no such model": "IllegalArgumentException: this bundle has no model other.onnx",
        "damaged": "IOException: the model is damaged",
        "null": "IllegalArgumentException: ",
        "labels": "IOException: the list of labels has 11 lines, but the network has 10 classes",
        "emoji": "true",
        "empty": "IllegalArgumentException: ",
        "negative": "IllegalArgumentException: ",
        "truncated": "IllegalArgumentException: ",
        "null picture": "IllegalArgumentException: ",
        "k": "IllegalArgumentException: k is 0",
        "all": "10",
        "too few pixels": "IllegalArgumentException: a picture of 40 x 40 pixels has 10",
        "huge": "IllegalArgumentException: a picture of 1073741824 x 1073741824",
        "askew": "IllegalArgumentException: a picture can't be turned by 45",
        "closed": "IllegalStateException: this classifier is closed",
    }.items():
        assert said[name].startswith(what), (name, said[name])
    assert int(said["grown"].split()[0]) < 16


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
