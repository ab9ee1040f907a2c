"""A C++ bundle, built by the commands of its own README."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resnet_deploy.bundles.bundling import pack
from resnet_deploy.results import BundleReport
from resnet_deploy.spec import BundleRuntime, BundleTarget
from tests.support.native_classifier import shared_library
from tests.support.native_toolchain import PLAIN, STRICT, openvino_root, run, tool


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
        folders = (self.ort / "lib", self.folder / "build")
        return static, *(f"-Wl,-rpath,{folder}" for folder in folders), "-ldl", "-pthread"


def build(model: Path, folder: Path, ort: Path, *, optimized: bool = True) -> Built:
    """Bundle ``model`` for both runtimes into ``folder`` and do what its README says.

    ONNX Runtime is that in ``ort``, OpenVINO the installed one. Not ``optimized``, it takes half
    the time.
    """
    report = pack(model, BundleTarget.CPP, folder, runtime=BundleRuntime.BOTH)
    tool("cmake", "cmake")
    tool("g++", "g++")
    said, build_type = "", "" if optimized else PLAIN  # by default CMake decides
    for command in commands_of(folder / "README.md"):
        line = command.replace("/path/of/onnxruntime", str(ort))
        line = line.replace("/path/of/openvino", str(openvino_root()))
        said = run(["sh", "-c", line], folder, CXXFLAGS=STRICT, CMAKE_BUILD_TYPE=build_type)
    library = shared_library(
        folder / "build/libresnet_classifier.a",
        folder.parent / "libclassifier.so",
        ort / "lib",
        folder / "build",
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


SNIPPETS_PICTURE = np.zeros((40, 50, 3), np.uint8)
"""What a snippet of a README gets as ``rgb``, ``size``, ``width`` and ``height``."""
SNIPPETS_PICTURE[0, 0] = 9, 8, 7

_APP = """\
{includes}
#include <stdio.h>
{more}
static unsigned char rgb[50 * 40 * 3] = {{9, 8, 7}};
int main(void) {{
  const int width = 50, height = 40;
  const size_t size = sizeof rgb;
{body}
  return 0;
}}
"""


def snippet(built: Built, language: str, folder: Path) -> str:
    """Compile and run the README's first code in ``language``, cpp or c; return what it says."""
    compiler, more = {
        "cpp": (("g++", "-std=c++17"), "#include <array>"),
        "c": (("gcc", "-std=c11"), ""),
    }[language]
    includes, body = block(built.folder / "README.md", language).split("\n\n", 1)
    body = body.replace("THIS_FOLDER", str(built.folder))
    source, program = folder / f"app.{language}", str(folder / "app")
    source.write_text(_APP.format(includes=includes, more=more, body=body))
    headers = ("-I", str(built.folder / "include"), "-isystem", str(built.ort / "include"))
    run([*compiler, *STRICT.split(), *headers, "-c", str(source), "-o", "app.o"], folder)
    run(["g++", "app.o", *built.libraries, "-o", program], folder)
    return run([program], folder)
