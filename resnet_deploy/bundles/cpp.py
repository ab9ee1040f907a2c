"""The cpp bundle: a header-only C++17 class, a C interface, and CMake to build them."""

from __future__ import annotations

from typing import Final

from resnet_deploy.bundles.kit import Kit, Rendered
from resnet_deploy.bundles.native import cpus, native_files
from resnet_deploy.spec import BundleRuntime

_PLACES: Final = {
    BundleRuntime.ORT: (
        "-DORT_ROOT=/path/of/onnxruntime",
        "/path/of/onnxruntime is an unpacked release of ONNX Runtime; --with-runtime puts what is "
        "needed into the bundle",
    ),
    BundleRuntime.OPENVINO: (
        "-DOPENVINO_ROOT=/path/of/openvino",
        "/path/of/openvino is an unpacked release of OpenVINO, or the folder openvino of its "
        "Python package; --with-runtime puts what is needed into the bundle",
    ),
}
"""By runtime: the option that says where it is, and what to put there."""


def render(kit: Kit) -> Rendered:
    """Return the files of the bundle."""
    # What comes along in third_party/ is found there.
    brought = {runtime.kind for runtime in kit.shipped}
    places = [_PLACES[run.kind] for run in kit.runtimes if run.kind not in brought]
    commands = (
        " ".join(("cmake -S . -B build", *(option for option, _ in places))),
        "cmake --build build",
        "build/selftest",
    )
    own = kit.render_folder("cpp", commands=commands, cpus=cpus(kit.network.artifact, kit.runtimes))
    return Rendered(
        files={**kit.common_files(), **native_files(kit), **own},
        commands=commands,
        notes=tuple(note for _, note in places),
    )
