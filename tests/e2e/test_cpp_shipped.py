"""A C++ bundle that brings its runtimes: built by its README, moved away, run on a bare host."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from resnet_deploy.bundles.bundling import pack
from resnet_deploy.results import BundleReport
from resnet_deploy.spec import BundleTarget
from tests.support.bare_root import bare_root, run_in
from tests.support.cpp_bundle import blocks
from tests.support.native_toolchain import STRICT, headers, run, tool


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
        with_runtime=True,
        runtime_headers=headers(),
    )
    tool("cmake", "cmake")
    tool("g++", "g++")
    commands = [line for block in blocks(folder / "README.md", "sh") for line in block.splitlines()]
    said = [
        run(["sh", "-c", command], folder, CXXFLAGS=STRICT, CMAKE_BUILD_PARALLEL_LEVEL="2")
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
    assert "third_party" in installed.report.notes[0]


def test_what_is_installed_names_no_folder_of_this_machine(installed: Installed) -> None:
    assert {path.name for path in installed.app.iterdir()} == {"bin", "include", "lib", "share"}
    for path in installed.app.rglob("*"):
        assert not path.is_symlink()
        if path.is_file() and path.suffix != ".1":  # those of others are as they came
            assert str(installed.folder).encode() not in path.read_bytes(), path
    for program in (installed.app / "bin").iterdir():
        said = run([tool("readelf", "binutils"), "-d", str(program)], installed.folder)
        assert re.findall(r"(?:RPATH|RUNPATH).*\[(.*)\]", said) == ["$ORIGIN/../lib"]


def test_it_runs_on_a_bare_host(root: Path) -> None:
    done = run_in(root, "/app/bin/selftest")
    assert (done.returncode, done.stdout.count("PASS model.onnx: ")) == (0, 1), done.stderr
    picture = "/app/share/resnet_classifier/golden/photo-like.ppm"
    done = run_in(root, "/app/bin/classify", "--top", "1", picture)
    assert re.fullmatch(rf"{picture}\n +\d+\.\d\d %  \w+\n", done.stdout), done.stderr

    # Wherever it is moved to.
    (root / "app").rename(root / "elsewhere")
    done = run_in(root, "/elsewhere/bin/selftest")
    (root / "elsewhere").rename(root / "app")
    assert done.returncode == 0, done.stdout


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
