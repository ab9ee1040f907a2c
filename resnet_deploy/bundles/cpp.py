"""The cpp bundle: a header-only C++17 class, a C interface, and CMake to build them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from resnet_deploy.bundles.kit import Kit, Rendered
from resnet_deploy.bundles.native import cpus, native_files
from resnet_deploy.bundles.rendering import Written
from resnet_deploy.bundles.runtime import Runtime
from resnet_deploy.spec import BundleRuntime

_OPTIONS: Final = {
    BundleRuntime.ORT: "-DORT_ROOT=/path/of/onnxruntime",
    BundleRuntime.OPENVINO: "-DOPENVINO_ROOT=/path/of/openvino",
}
_NOTES: Final = {
    BundleRuntime.ORT: (
        "/path/of/onnxruntime is an unpacked release of ONNX Runtime; --with-runtime puts what is "
        "needed into the bundle"
    ),
    BundleRuntime.OPENVINO: (
        "/path/of/openvino is an unpacked release of OpenVINO, or the folder openvino of its "
        "Python package; --with-runtime puts what is needed into the bundle"
    ),
}
_IMAGE: Final = {"Dockerfile": "Dockerfile", "dockerignore": ".dockerignore"}
"""By template: what makes an image. One that starts with a dot would be hard to see."""


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A runtime as the README tells of it; ``megabytes`` of libraries come along, or None do."""

    runtime: Runtime
    megabytes: int | None

    @property
    def name(self) -> str:
        return self.runtime.kind.value


def render(kit: Kit) -> Rendered:
    """Return the files of the bundle."""
    brought = {part.kind: round(part.library_bytes / 1e6) for part in kit.shipped}
    parts = [_Part(runtime=run, megabytes=brought.get(run.kind)) for run in kit.runtimes]
    # What comes along in third_party/ is found there.
    sought = [part.runtime.kind for part in parts if part.megabytes is None]
    commands = (
        Written(" ".join(("cmake -S . -B build", *(_OPTIONS[kind] for kind in sought)))),
        Written("cmake --build build"),
        Written("build/selftest"),
    )
    own = kit.render_folder(
        "cpp",
        commands=commands,
        cpus=cpus(kit.network.artifact, kit.runtimes),
        parts=parts,
        sought=sought,
    )
    if not kit.contract.has_classes:
        # They name classes.
        own = {name: data for name, data in own.items() if not name.startswith("examples/")}
    image = {name: own.pop(template) for template, name in _IMAGE.items()}
    if not sought:  # else it would need what is on this machine alone
        own.update(image)
    return Rendered(
        files={**kit.common_files(), **native_files(kit), **own},
        commands=commands,
        notes=tuple(_NOTES[kind] for kind in sought),
    )
