"""Bundles of nets that want BGR, grey levels, one channel, or channels last pass their self-tests.

Triton's are among its others, in ``test_triton_bundle.py``; the browser's in ``web``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from resnet_deploy.bundles.bundling import pack
from resnet_deploy.spec import BundleTarget
from tests.support.contract_nets import NETS
from tests.support.native_toolchain import STRICT, ort_root, run, tool
from tests.support.npm import ci, find_node
from tests.support.npm import run as run_npm

pytestmark = pytest.mark.parametrize("net", NETS)


@pytest.fixture(scope="module")
def ort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ort_root(tmp_path_factory.mktemp("ort"))


def bundled(net: str, target: BundleTarget, folder: Path) -> Path:
    pack(NETS[net](folder / f"{net}.onnx"), target, folder / "bundle")
    return folder / "bundle"


def test_the_cpp_selftest_passes(net: str, ort: Path, tmp_path: Path) -> None:
    # Without optimisation and CMake, for the time: both are tested on the real network's bundle.
    folder = bundled(net, BundleTarget.CPP, tmp_path)
    flags = ["-std=c++17", "-O0", "-ffp-contract=off", *STRICT.split(), "-Iinclude"]
    library = [f"-Wl,-rpath,{ort / 'lib'}", "-ldl", "-pthread"]
    sources = ["src/selftest.cpp", "src/resnet_classifier.cpp"]
    headers = ["-isystem", str(ort / "include")]
    run([tool("g++", "g++"), *flags, *headers, *sources, *library, "-o", "selftest"], folder)
    assert run(["./selftest"], folder).startswith("PASS model.onnx: 7 cases, inputs equal")


def test_the_mobile_selftests_pass_natively_and_in_java(
    net: str, ort: Path, tmp_path: Path
) -> None:
    for program, package in (("cmake", "cmake"), ("javac", "default-jdk-headless")):
        tool(program, package)
    folder = bundled(net, BundleTarget.MOBILE, tmp_path)
    configure = ["cmake", "-S", "android", "-B", "build", "-DCMAKE_BUILD_TYPE=None"]
    run([*configure, f"-DORT_ROOT={ort}"], folder)
    run(["cmake", "--build", "build"], folder)
    said = run(["ctest", "--test-dir", "build", "--verbose"], folder)
    assert said.count("PASS model.ort: 7 cases, inputs equal") == 2


def test_the_node_selftest_passes(net: str, tmp_path: Path) -> None:
    find_node()
    folder = bundled(net, BundleTarget.NODE, tmp_path)
    ci(folder)
    assert "PASS 7 cases of model.onnx: inputs are equal" in run_npm(["npm", "test"], folder).stdout
