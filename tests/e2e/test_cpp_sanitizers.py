"""The C++ bundle under the sanitizers of the compiler, and its benchmark."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from resnet_deploy.bundles.bundling import pack
from resnet_deploy.spec import BundleRuntime, BundleTarget
from tests.support.native_toolchain import STRICT, openvino_root, ort_root, run, tool

NATIVE = Path(__file__).parent / "native"
LATENCY = Path(__file__).parents[2] / "bench/cpp_latency.py"


@pytest.fixture(scope="module")
def ort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ort_root(tmp_path_factory.mktemp("ort"))


@pytest.mark.parametrize("sanitizers", ["address,undefined", "thread"])
def test_sanitizers_find_nothing(
    sanitizers: str, resnet20_export: Path, ort: Path, tmp_path: Path
) -> None:
    """In an app that takes the fp32 bundle in by ``add_subdirectory``."""
    pack(
        resnet20_export / "resnet20.onnx",
        BundleTarget.CPP,
        tmp_path / "bundle",
        runtime=BundleRuntime.BOTH,
    )
    roots = (f"-DORT_ROOT={ort}", f"-DOPENVINO_ROOT={openvino_root()}")
    flags = f"-O1 -g1 {STRICT} -DWITHOUT_HOOK -fsanitize={sanitizers} -fno-sanitize-recover=all"
    run(
        [
            *(tool("cmake", "cmake"), "-S", str(NATIVE), "-B", "build", *roots),
            *(f"-DBUNDLE={tmp_path / 'bundle'}", f"-DCMAKE_CXX_FLAGS={flags}"),
            "-DCMAKE_BUILD_TYPE=None",
        ],
        tmp_path,
    )
    targets = ("stress", "selftest") if "address" in sanitizers else ("stress",)
    run(["cmake", "--build", "build", "-j2", "--target", *targets], tmp_path)
    # Their dlopen() looks into the RUNPATH of the sanitizer's library, not of the program.
    folders = f"{ort / 'lib'}:{tmp_path / 'build/bundle'}"
    # The runtimes' libraries are not code that the sanitizer has seen: of their locks it knows
    # nothing, so what it reports from inside them says nothing either.
    seen = "ignore_noninstrumented_modules=1"
    for runtime in ("onnxruntime", "openvino"):
        command = ["build/stress", "bundle", "100", runtime]
        run(command, tmp_path, LD_LIBRARY_PATH=folders, TSAN_OPTIONS=seen)
        if sanitizers == "thread":
            racing = subprocess.run(
                [*command, "race"],
                cwd=tmp_path,
                env={**os.environ, "LD_LIBRARY_PATH": folders, "TSAN_OPTIONS": seen},
                capture_output=True,
                text=True,
                check=False,
            )
            assert racing.returncode != 0, "a race in the program itself is not reported"
            assert "data race" in racing.stderr, racing.stderr
            assert "stress.cpp" in racing.stderr, racing.stderr
    if "selftest" in targets:
        said = run(["build/bundle/selftest", "bundle"], tmp_path, LD_LIBRARY_PATH=folders)
        assert said.count("PASS ") == 2


def test_latency_is_compared_with_pythons(tiny_export: Path, tmp_path: Path) -> None:
    tool("c++", "g++")
    record = tmp_path / "latency.json"
    command = [sys.executable, str(LATENCY), str(tiny_export / "resnet8.int8.onnx")]
    few = ("--threads", "1", "--seconds", "0.5", "--rounds", "1", "--runtime", "ort")
    # Its exit code says whether C++ is as fast: not a thing for a test.
    done = subprocess.run(
        [*command, *few, "--json", str(record)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert record.exists(), done.stderr
    (found,) = json.loads(record.read_text())["runs"]
    assert found["cpp_over_python"]["median"] > 0
    assert [samples["subject"]["label"] for samples in found["subjects"]] == ["C++", "Python"]
    assert "of Python's time" in done.stdout
