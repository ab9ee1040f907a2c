"""A C++ bundle, built by the commands of its own README."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from resnet_deploy.bundles.bundling import pack
from resnet_deploy.results import BundleReport
from resnet_deploy.spec import BundleTarget
from tests.support.native_classifier import shared_library
from tests.support.native_toolchain import STRICT, run, tool


@dataclass(frozen=True)
class Built:
    """A bundle that was built by the commands of its README; ``library`` has its C interface."""

    folder: Path
    report: BundleReport
    said: str
    ort: Path
    library: Path

    @property
    def libraries(self) -> tuple[str, ...]:
        """What a program is linked with."""
        static = str(self.folder / "build/libresnet_classifier.a")
        return static, f"-Wl,-rpath,{self.ort / 'lib'}", "-ldl", "-pthread"


def build(model: Path, folder: Path, ort: Path) -> Built:
    """Bundle ``model`` into ``folder`` and do what its README says, with the library in ``ort``."""
    report = pack(model, BundleTarget.CPP, folder)
    tool("cmake", "cmake")
    tool("g++", "g++")
    said = ""
    for command in commands_of(folder / "README.md"):
        line = command.replace("/path/of/onnxruntime", str(ort))
        said = run(["sh", "-c", line], folder, CXXFLAGS=STRICT, CMAKE_BUILD_PARALLEL_LEVEL="2")
    library = shared_library(
        folder / "build/libresnet_classifier.a", folder.parent / "libclassifier.so", ort / "lib"
    )
    return Built(folder=folder, report=report, said=said, ort=ort, library=library)


def commands_of(readme: Path) -> tuple[str, ...]:
    """Return the commands of the README's first block."""
    return tuple(block(readme, "sh").strip().splitlines())


def block(readme: Path, language: str) -> str:
    """Return the first fenced block of code in ``language``."""
    return f"{blocks(readme, language)[0]}\n"


def blocks(readme: Path, language: str) -> list[str]:
    """Return all fenced blocks of code in ``language``."""
    found = re.findall(rf"```{language}\n(.*?)\n```", readme.read_text("utf-8"), re.DOTALL)
    assert found
    return found
