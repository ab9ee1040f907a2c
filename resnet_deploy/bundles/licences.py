"""The licences of a bundle: of its code, and of what that is derived from, runs on or ships."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from resnet_deploy.bundles.kit import Kit
from resnet_deploy.spec import BundleRuntime, BundleTarget

LICENCE_FILE: Final = "LICENSE"
THIRD_PARTY_FILE: Final = "THIRD_PARTY_LICENSES"

_RULE: Final = "=" * 80
_LONGEST_TEXT: Final = 2_000_000
"""Bytes of one text of an installed package. The longest known has 340,000."""

_APACHE: Final = f"The text of the Apache License 2.0 is that of {LICENCE_FILE}.\n"


@dataclass(frozen=True, kw_only=True)
class Component:
    """Somebody else's work that a bundle is derived from, runs on, or ships.

    ``licence`` is an SPDX expression, ``role`` sentences on what of it is where, ``text`` the
    licence with its notices.
    """

    name: str
    licence: str
    role: str
    text: str


_SHARP: Final = Component(
    name="sharp, with libvips",
    licence="Apache-2.0 AND LGPL-3.0-or-later",
    role="Not in this folder: only where you install it, which puts it into node_modules/.",
    text=f"{_APACHE}npm installs the licences of libvips and of what is inside beside it.",
)


def licence_files(kit: Kit) -> dict[str, bytes]:
    """Return the files on licences that every bundle holds, by name."""
    return {
        LICENCE_FILE: _text("Apache-2.0").encode(),
        THIRD_PARTY_FILE: _document(components(kit)).encode(),
    }


def components(kit: Kit) -> tuple[Component, ...]:
    """Return what the bundle of ``kit`` owes to others."""
    found = [_pillow(kit.target)]
    kinds = {runtime.kind for runtime in kit.runtimes}
    if BundleRuntime.ORT in kinds:
        found.append(_onnxruntime(kit))
    if BundleRuntime.OPENVINO in kinds:
        found.append(_openvino(kit))
    if kit.target is BundleTarget.CPP:
        found += _image_libraries()
    if kit.target is BundleTarget.NODE:
        found.append(_SHARP)
    return tuple(found)


def _pillow(target: BundleTarget) -> Component:
    if target is BundleTarget.TRITON:
        role = "Not in this folder: client.py uses the Pillow that you install."
    else:
        role = (
            "The code that resizes and converts pictures re-implements algorithms of Pillow's "
            "src/libImaging (Resample.c, Geometry.c, Convert.c), for the same pixels to the last "
            "bit. No file of Pillow is in this folder; since that code was written after Pillow's "
            "source, its notice belongs to every copy."
        )
    return Component(name="Pillow", licence="MIT-CMU", role=role, text=_text("pillow"))


def _onnxruntime(kit: Kit) -> Component:
    role = {
        BundleTarget.CPP: "The programs open its library, which you install, at run time.",
        BundleTarget.MOBILE: "Your build adds its packages onnxruntime-android or onnxruntime-c.",
        BundleTarget.NODE: "npm ci puts its package onnxruntime-node into node_modules/.",
        BundleTarget.WEB: (
            "npm ci copies its package onnxruntime-web into vendor/: who serves the page "
            "passes it on."
        ),
        BundleTarget.TRITON: "It is a part of the server, which is not in this folder.",
    }[kit.target]
    role = _shipped_role(kit, BundleRuntime.ORT) or role
    text = _text("onnxruntime")
    # Those who run the server got its notices with it.
    if kit.target is not BundleTarget.TRITON:
        package = _package_folder("onnxruntime")
        notices = _read(None if package is None else package / "ThirdPartyNotices.txt")
        text += "\n" + (
            notices
            or "The notices on what is inside ONNX Runtime were not found where this was made. "
            f"They are ThirdPartyNotices.txt of release {kit.max_onnxruntime}: "
            "https://github.com/microsoft/onnxruntime\n"
        )
    return Component(name="ONNX Runtime", licence="MIT", role=role, text=text)


def _openvino(kit: Kit) -> Component:
    triton = kit.target is BundleTarget.TRITON
    role = (
        "It is a part of the server, which is not in this folder."
        if triton
        else "The programs open its libraries, which you install, at run time."
    )
    role = _shipped_role(kit, BundleRuntime.OPENVINO) or role
    notices = "" if triton else "\n".join(_texts_of("openvino", "licensing"))
    if not (notices or triton):
        notices = (
            "The notices on oneTBB, oneDNN and what else is inside were not found where this was "
            "made. They are in the folder licensing of "
            "https://github.com/openvinotoolkit/openvino\n"
        )
    return Component(
        name="OpenVINO, with oneTBB, oneDNN and hwloc",
        licence="Apache-2.0 AND BSD-3-Clause",
        role=role,
        text=f"Copyright (C) 2018-2026 Intel Corporation\n\n{_APACHE}\n{notices}",
    )


def _shipped_role(kit: Kit, kind: BundleRuntime) -> str:
    """Return what of a runtime is in the folder; empty where nothing is."""
    return "".join(
        f"{runtime.folder}/ holds the libraries of release {runtime.version}, and headers."
        for runtime in kit.shipped
        if runtime.kind is kind
    )


def _image_libraries() -> list[Component]:
    role = (
        "Not in this folder: classify is linked with the library of your system where it is "
        "installed, and cmake --install copies it into lib/."
    )
    return [
        Component(name=name, licence=licence, role=role, text=_text(name))
        for name, licence in (
            ("libjpeg-turbo", "IJG AND BSD-3-Clause"),
            ("libpng", "libpng-2.0"),
            ("libwebp", "BSD-3-Clause"),
            ("zlib", "Zlib"),
        )
    ]


def _document(parts: Sequence[Component]) -> str:
    listed = "".join(f"  {part.name}: {part.licence}\n" for part in parts)
    sections = (
        f"{_RULE}\n{part.name}\n{part.licence}\n\n{part.role}\n\n{part.text.rstrip()}\n\n"
        for part in parts
    )
    return (
        "What this folder is derived from, runs on, or ships. The licence of its own code is in "
        f"{LICENCE_FILE};\nwhat is known of the weights' is in README.md.\n\n{listed}\n"
        + "".join(sections)
    )


def _text(name: str) -> str:
    folder = importlib.resources.files("resnet_deploy.bundles") / "texts"
    return (folder / f"{name}.txt").read_text(encoding="utf-8")


def _package_folder(distribution: str) -> Path | None:
    """Return the installed package's folder; None: there is none, or it is not a folder."""
    try:
        found = importlib.metadata.distribution(distribution).locate_file(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
    folder = Path(str(found))
    return folder if folder.is_dir() else None


def _texts_of(distribution: str, folder: str) -> Iterable[str]:
    """Return the texts that a distribution's metadata lists in a folder of that name, sorted."""
    try:
        files = importlib.metadata.distribution(distribution).files or []
    except importlib.metadata.PackageNotFoundError:
        return ()
    chosen = sorted(
        (str(file), file)
        for file in files
        if file.suffix == ".txt" and file.parent.name == folder and ".dist-info" in file.parts[0]
    )
    return tuple(text for _, file in chosen if (text := _read(Path(str(file.locate())))))


def _read(path: Path | None) -> str:
    """Return a text with newlines of one kind; empty where there is none of a sensible size."""
    try:
        if path is None or path.stat().st_size > _LONGEST_TEXT:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
