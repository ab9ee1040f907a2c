"""The cpp bundle: a header-only C++17 class, a C interface, and CMake to build them."""

from __future__ import annotations

from resnet_deploy.bundles.kit import Kit, Rendered
from resnet_deploy.bundles.native import cpus, native_files

_COMMANDS = (
    "cmake -S . -B build -DORT_ROOT=/path/of/onnxruntime",
    "cmake --build build",
    "build/selftest",
)


def render(kit: Kit) -> Rendered:
    """Return the files of the bundle."""
    own = kit.render_folder(
        "cpp",
        commands=_COMMANDS,
        cpus=cpus(kit.network.artifact),
    )
    return Rendered(
        files={**kit.common_files(), **native_files(kit), **own},
        commands=_COMMANDS,
        notes=("/path/of/onnxruntime is an unpacked release of ONNX Runtime",),
    )
