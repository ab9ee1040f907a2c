"""The runtimes that a bundle brings along: libraries of the installed wheels, and their headers.

What is put into ``third_party/`` is what a program on a CPU needs and no more: of OpenVINO's 170 MB
the core, the CPU plugin, the reader of ONNX files and oneTBB. ONNX Runtime's wheel has no headers;
they come from Debian's package, whose signature apt verifies, once, or from a folder of the user.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from resnet_deploy.artifact.cache import cache_folder, make_cache_for
from resnet_deploy.artifact.unfinished import scratch_folder
from resnet_deploy.bundles.runtime import Runtime
from resnet_deploy.errors import MissingDependencyError, SpecError
from resnet_deploy.isa.debian import PrivateApt, release_of_debian, unpack
from resnet_deploy.isa.instruction_sets import machine
from resnet_deploy.paths import resolved
from resnet_deploy.spec import BundleRuntime

THIRD_PARTY: Final = "third_party"

_ORT_LIBRARY: Final = re.compile(r"libonnxruntime\.so\.(\d+)\.\d+\.\d+")
_ORT_HEADERS: Final = ("onnxruntime_c_api.h", "onnxruntime_cxx_api.h")
_HEADER_FOLDERS: Final = (
    "",
    "include",
    "include/onnxruntime",
    "include/onnxruntime/core/session",
    "onnxruntime",
)
"""Where releases, packages and source trees have the headers, below what a user names."""

_PACKAGE: Final = "libonnxruntime-dev"
_SUITE: Final = "trixie"
"""Debian's first release that has it (ONNX Runtime 1.21); a newer library is fine with them."""
_SUITE_NUMBER: Final = 13
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}

_OPENVINO_LIBRARIES: Final = (
    # Opened by their names: they keep them. The second is that of the CPU here.
    (r"libopenvino\.so\.\d+", True),
    (r"libopenvino_(intel|arm)_cpu_plugin\.so", True),
    (r"libopenvino_onnx_frontend\.so\.\d+", True),
    (r"libtbb\.so\.\d+", True),
    # oneTBB does without these, but places threads and allocates memory better with them.
    (r"libtbbmalloc\.so\.\d+", False),
    (r"libtbbbind_\d+_\d+\.so\.\d+", False),
    (r"libhwloc\.so\.\d+", False),
)
"""Patterns of names, and whether nothing runs without the file."""

_MOST_HEADERS: Final = 2_000
_LARGEST_HEADER: Final = 4_000_000
"""Bytes. OpenVINO has 446 headers, and the largest of ONNX Runtime's has 400,000."""

_OPENVINO_CONFIG: Final = """\
# SPDX-License-Identifier: Apache-2.0
# The part of OpenVINO that is in this folder, for find_package(OpenVINO).
get_filename_component(_root "${{CMAKE_CURRENT_LIST_DIR}}" DIRECTORY)
if(NOT TARGET openvino::runtime)
  add_library(openvino::runtime SHARED IMPORTED)
  set_target_properties(openvino::runtime PROPERTIES
    IMPORTED_LOCATION "${{_root}}/lib/{library}"
    IMPORTED_SONAME "{library}"
    INTERFACE_INCLUDE_DIRECTORIES "${{_root}}/include"
    INTERFACE_COMPILE_FEATURES cxx_std_17)
endif()
set(OpenVINO_FOUND ON)
set(OpenVINO_Runtime_FOUND ON)
set(OpenVINO_VERSION "{version}")
unset(_root)
"""


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """A runtime that a bundle brings along.

    ``copies`` are installed files by their names in the bundle, ``files`` what is written there.
    """

    kind: BundleRuntime
    title: str
    version: str
    copies: Mapping[str, Path] = field(repr=False)
    files: Mapping[str, bytes] = field(repr=False)

    @property
    def folder(self) -> str:
        """Where it is in the bundle."""
        return f"{THIRD_PARTY}/{'onnxruntime' if self.kind is BundleRuntime.ORT else 'openvino'}"

    @property
    def library_bytes(self) -> int:
        """Return the bytes of the libraries: what an app that uses it ships."""
        libraries = (path for name, path in self.copies.items() if "/lib/" in name)
        return sum(path.stat().st_size for path in libraries)

    @property
    def words(self) -> str:
        """Return one line on what is shipped."""
        return (
            f"ships {self.library_bytes / 1e6:.0f} MB of {self.title} {self.version} for "
            f"{machine()} Linux, in {self.folder}"
        )


def shipped(runtimes: Sequence[Runtime], headers: Path | None = None) -> tuple[Shipped, ...]:
    """Return the installed runtimes with their headers, in the order of ``runtimes``.

    ``headers`` is a folder with ONNX Runtime's; None: Debian's, fetched at the first use and kept.

    Raises:
        SpecError: ``headers`` holds no headers, or no bundle needs them.
        MissingDependencyError: a wheel has not what is needed, or the headers can't be fetched.
    """
    kinds = [runtime.kind for runtime in runtimes]
    if headers is not None and BundleRuntime.ORT not in kinds:
        raise SpecError("--runtime-headers are ONNX Runtime's, which this bundle does not run on")
    return tuple(
        _onnxruntime(headers) if kind is BundleRuntime.ORT else _openvino() for kind in kinds
    )


def onnxruntime_library() -> Path:
    """Return ONNX Runtime's library in the installed wheel.

    Raises:
        MissingDependencyError: the wheel is none for Linux.
    """
    package = _package("onnxruntime")
    for path in _files(package / "capi", package):
        if _ORT_LIBRARY.fullmatch(path.name):
            return path
    raise MissingDependencyError(
        f"the installed ONNX Runtime ({package}) has no libonnxruntime.so to ship: make the bundle "
        "on Linux with the wheel of ONNX Runtime, or leave --with-runtime out"
    )


def debian_headers() -> Path:
    """Return the folder of ONNX Runtime's C and C++ headers; fetched once and kept.

    Raises:
        MissingDependencyError: this is not Debian, or there is no network.
    """
    release = release_of_debian()
    # Other releases than an old stable Debian are looked at as they are.
    suite = _SUITE if release is not None and release[1] < _SUITE_NUMBER else None
    kept = cache_folder() / "native" / f"onnxruntime-headers-{suite or (release or ['own'])[0]}"
    if not kept.is_dir():
        make_cache_for(kept)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(kept.parent) as scratch:
            (scratch / "apt").mkdir()
            architecture = _ARCHITECTURES.get(machine(), machine())
            apt = PrivateApt(scratch / "apt", (architecture,), suite=suite)
            # The package alone: its library is Debian's, ours is the wheel's.
            unpack([apt.download_alone(_PACKAGE)], scratch / "root")
            _move(scratch / "root/usr/include/onnxruntime", kept)
    return kept


def _onnxruntime(headers: Path | None) -> Shipped:
    library = onnxruntime_library()
    version = importlib.metadata.version("onnxruntime")
    folder = _fetched_headers() if headers is None else _header_folder(headers)
    root = f"{THIRD_PARTY}/onnxruntime"
    found = _headers(folder, nested=False)
    # One file, under the name that programs look for: a bundle has no links.
    soname = f"libonnxruntime.so.{library.name.split('.')[2]}"
    return Shipped(
        kind=BundleRuntime.ORT,
        title="ONNX Runtime",
        version=version,
        copies={
            f"{root}/lib/{soname}": library,
            **{f"{root}/include/{name}": path for name, path in found.items()},
        },
        files={f"{root}/VERSION_NUMBER": f"{version}\n".encode()},
    )


def _openvino() -> Shipped:
    package = _package("openvino")
    version = importlib.metadata.version("openvino")
    installed = {path.name: path for path in _files(package / "libs", package)}
    libraries: dict[str, Path] = {}
    for pattern, needed in _OPENVINO_LIBRARIES:
        names = sorted(name for name in installed if re.fullmatch(pattern, name))
        if needed and not names:
            raise MissingDependencyError(
                f"the installed OpenVINO ({package}) has no {pattern} to ship: make the bundle on "
                "Linux with the wheel of OpenVINO, or leave --with-runtime out"
            )
        libraries.update((name, installed[name]) for name in names[-1:])
    root = f"{THIRD_PARTY}/openvino"
    found = _headers(package / "include/openvino", nested=True)
    config = _OPENVINO_CONFIG.format(library=next(iter(libraries)), version=version)
    return Shipped(
        kind=BundleRuntime.OPENVINO,
        title="OpenVINO",
        version=version,
        copies={
            **{f"{root}/lib/{name}": path for name, path in libraries.items()},
            **{f"{root}/include/openvino/{name}": path for name, path in found.items()},
        },
        files={
            f"{root}/VERSION_NUMBER": f"{version}\n".encode(),
            f"{root}/cmake/OpenVINOConfig.cmake": config.encode(),
        },
    )


def _fetched_headers() -> Path:
    try:
        return debian_headers()
    except MissingDependencyError as error:
        raise MissingDependencyError(
            f"ONNX Runtime's wheel has no headers, and Debian's are not available: {error}; or "
            "name the folder include of an unpacked release with --runtime-headers"
        ) from error


def _package(name: str) -> Path:
    """Return the folder of an installed wheel, without importing it."""
    try:
        return resolved(Path(str(importlib.metadata.distribution(name).locate_file(name))))
    except importlib.metadata.PackageNotFoundError:
        raise MissingDependencyError(
            f"{name} is not installed, so there is nothing to ship: pip install {name}"
        ) from None


def _files(folder: Path, top: Path) -> Iterator[Path]:
    """Yield the files of ``folder``, sorted; a link is followed only where it stays in ``top``."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        target = resolved(path)
        if target.is_file() and target.is_relative_to(top):
            yield path


def _header_folder(named: Path) -> Path:
    for below in _HEADER_FOLDERS:
        folder = named / below
        if all((folder / name).is_file() for name in _ORT_HEADERS):
            return folder
    raise SpecError(
        f"--runtime-headers {named} holds no {' and '.join(_ORT_HEADERS)}: name the folder include "
        "of a release of ONNX Runtime"
    )


def _headers(folder: Path, *, nested: bool) -> dict[str, Path]:
    """Return the headers of ``folder`` by their names below it; of its folders too if ``nested``.

    Raises:
        SpecError: there are far too many for headers, or one is far too large.
    """
    top = resolved(folder)
    found: dict[str, Path] = {}
    waiting = [top]
    while waiting:
        inner = waiting.pop()
        for path in _files(inner, top):
            if path.suffix not in {".h", ".hpp"}:
                continue
            found[path.relative_to(top).as_posix()] = path
            if len(found) > _MOST_HEADERS or path.stat().st_size > _LARGEST_HEADER:
                raise SpecError(
                    f"{folder} is not a folder of headers: it has more than {_MOST_HEADERS} files, "
                    f"or one of more than {_LARGEST_HEADER} bytes"
                )
        if nested:
            waiting += (path for path in inner.iterdir() if path.is_dir() and not path.is_symlink())
    return dict(sorted(found.items()))


def _move(source: Path, target: Path) -> None:
    """Move a folder into place, unless another process has put one there meanwhile."""
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():
            raise
