"""A C++ bundle that brings its runtimes: built by its README, moved away, run on a bare host."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from resnet_deploy.bundles.bundling import pack
from resnet_deploy.results import BundleReport
from resnet_deploy.spec import BundleRuntime, BundleTarget
from tests.support.bare_root import bare_root, run_in
from tests.support.cpp_bundle import blocks
from tests.support.native_toolchain import PLAIN, STRICT, headers, run, tool


@dataclass(frozen=True)
class Installed:
    """What the commands of a README made, what they said, and the README's other blocks."""

    folder: Path
    report: BundleReport
    said: list[str]

    @property
    def app(self) -> Path:
        return self.folder / "app"


@pytest.fixture(scope="module")
def installed(resnet20_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("shipped") / "a bundle"
    report = pack(
        resnet20_export / "resnet20.int8.onnx",
        BundleTarget.CPP,
        folder,
        runtime=BundleRuntime.BOTH,
        with_runtime=True,
        runtime_headers=headers(),
    )
    tool("cmake", "cmake")
    tool("g++", "g++")
    commands = [line for block in blocks(folder / "README.md", "sh") for line in block.splitlines()]
    said = [
        run(["sh", "-c", command], folder, CXXFLAGS=STRICT, CMAKE_BUILD_TYPE=PLAIN)
        for command in commands
    ]
    return Installed(folder, report, said)


@pytest.fixture(scope="module")
def root(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bare_root(tmp_path_factory.mktemp("root"), installed.app)


def test_the_readme_says_what_is_shipped_and_so_does_cmake(installed: Installed) -> None:
    *_, made, tested = installed.said
    assert tested.startswith("PASS model.onnx: ")
    size = sum(path.stat().st_size for path in installed.app.rglob("*") if path.is_file())
    (stated,) = re.findall(r"-- Ships (\d+\.\d) MB, in (.*)\n", made)
    assert stated == (f"{size // 100_000 / 10:.1f}", str(installed.app))
    # A folder may hold more than what is installed, as /usr/local does.
    (installed.app / "lib/another.so").write_bytes(bytes(3_000_000))
    again = run(["cmake", "--install", "build", "--prefix", "app"], installed.folder)
    (installed.app / "lib/another.so").unlink()
    assert f"-- Ships {stated[0]} MB, " in again
    assert "another.so" not in again
    listed = (installed.folder / "build/install_manifest.txt").read_text().splitlines()
    assert {(installed.folder / file).resolve() for file in listed} == {
        path for path in installed.app.rglob("*") if path.is_file()
    }
    notes = " ".join(installed.report.notes)
    assert re.search(r"ships \d+ MB of ONNX Runtime .* ships \d+ MB of OpenVINO", notes)


def test_what_is_installed_names_no_folder_of_this_machine(installed: Installed) -> None:
    assert {path.name for path in installed.app.iterdir()} == {"bin", "include", "lib", "share"}
    for path in installed.app.rglob("*"):
        assert not path.is_symlink()
        theirs = re.match(r"lib(onnx|openvino|tbb|hwloc|jpeg|png|webp|z|sharp)", path.name)
        if path.is_file() and not theirs:
            assert str(installed.folder).encode() not in path.read_bytes(), path
    readelf = tool("readelf", "binutils")
    for binary, found in {
        "bin/classify": "$ORIGIN/../lib",
        "bin/selftest": "$ORIGIN/../lib",
        "lib/libresnet_openvino.so": "$ORIGIN",
    }.items():
        said = run([readelf, "-d", str(installed.app / binary)], installed.folder)
        assert re.findall(r"(?:RPATH|RUNPATH).*\[(.*)\]", said) == [found]


def test_it_runs_on_a_bare_host(root: Path) -> None:
    done = run_in(root, "/app/bin/selftest")
    assert done.returncode == 0, done.stdout
    passed = re.findall(r"^PASS model.onnx: .*; (ONNX Runtime|OpenVINO) [\d.]+$", done.stdout, re.M)
    assert passed == ["ONNX Runtime", "OpenVINO"]
    pictures = [f"/picture.{kind}" for kind in ("jpg", "png", "webp")]
    for picture in pictures:
        Image.linear_gradient("L").convert("RGB").save(root / picture[1:])
    done = run_in(root, "/app/bin/classify", "--top", "1", *pictures)
    assert re.fullmatch(r"(/picture\.\w+\n +\d+\.\d\d %  \w+\n){3}", done.stdout), done.stderr

    # Wherever it is moved to.
    (root / "app").rename(root / "elsewhere")
    done = run_in(root, "/elsewhere/bin/selftest")
    (root / "elsewhere").rename(root / "app")
    assert done.returncode == 0, done.stdout


def test_what_is_missing_on_a_host_is_said(root: Path) -> None:
    library = root / "app/lib/libonnxruntime.so.1"
    library.rename(root / "gone")
    done = run_in(root, "/app/bin/selftest")
    (root / "gone").rename(library)
    assert (done.returncode, done.stdout.count("PASS")) == (0, 1)
    assert "ONNX Runtime is not there: libonnxruntime.so.1 is neither beside" in done.stdout

    done = run_in(root, "/app/bin/selftest", proc=False)
    assert (done.returncode, done.stdout.count("PASS")) == (0, 1)
    assert "OpenVINO can't tell the CPUs of this host" in done.stdout


def test_the_image_is_made_by_the_same_commands(installed: Installed) -> None:
    text = (installed.folder / "Dockerfile").read_text()
    stages = text.split("\nFROM ")[1:]
    assert len(stages) == 2
    runs = [line.removeprefix("RUN ") for line in stages[0].splitlines() if line.startswith("RUN")]
    build, install = (block.split("\n") for block in blocks(installed.folder / "README.md", "sh"))
    assert runs[-1] == " && ".join((*build[:2], install[0].replace(" app", " /app")))
    assert all(name in runs[0] for name in ("cmake", "make", "g++"))
    assert 'CMD ["/app/bin/selftest"]' in stages[1]
    assert "COPY --from=build /app /app" in stages[1]
    assert "build*" in (installed.folder / ".dockerignore").read_text().splitlines()
