"""Compilers for phones, as near as packages come to Google's NDK and Apple's SDK.

Zig's wheel carries clang and libc++, which both vendors use. For Apple it has Apple's own headers
of the C library and of the Objective-C runtime (``apple/`` has declarations of Foundation); for
Android those of musl take the place of bionic's. Debian has Android's ``jni.h``, and the classes of
Android 6.0 (API level 23) for ``javac``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import tempfile
from functools import cache
from pathlib import Path

from resnet_deploy.artifact.cache import cache_folder
from resnet_deploy.errors import MissingDependencyError
from resnet_deploy.isa.debian import PrivateApt, unpack
from tests.support.native_toolchain import run, tool, unavailable

APPLE = Path(__file__).parent / "apple"
"""Declarations of Foundation."""

IOS = "aarch64-ios.15.0"
LINUX_ARM64 = "aarch64-linux-musl"

_ANDROID = ("android-libnativehelper-dev", "libandroid-23-java")
"""Debian's packages, neither in its current release."""


def compile_object(source: Path, made: Path, target: str, *options: str) -> bytes:
    """Compile ``source`` for ``target``, warnings being errors, and return the object file.

    ``options`` are clang's.
    """
    zig = importlib.util.find_spec("ziglang")
    if zig is None or zig.origin is None:
        unavailable("ziglang is not installed: pip install ziglang")
    strict = ("-g0", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
    if target == IOS:
        apple = Path(zig.origin).parent / "lib/libc/include/any-darwin-any"
        options = ("-isystem", str(APPLE), "-isystem", str(apple), *options)
    kept = str(cache_folder() / "native" / "zig")
    run(
        [
            *(sys.executable, "-m", "ziglang", "c++", "-target", target, "-std=c++17", "-c"),
            *(*strict, *options, str(source), "-o", str(made)),
        ],
        made.parent,
        ZIG_GLOBAL_CACHE_DIR=kept,
        ZIG_LOCAL_CACHE_DIR=kept,
    )
    return made.read_bytes()


@cache
def android() -> Path:
    """Return a root with Android's ``jni.h`` and its classes; fetched once and kept."""
    kept = cache_folder() / "native/android-23"
    if not kept.is_dir():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".fetch-") as name:
            _fetch_android(Path(name))
            with contextlib.suppress(OSError):  # another process put it there meanwhile
                (Path(name) / "root").rename(kept)
    return kept


def _fetch_android(scratch: Path) -> None:
    """Unpack both packages into ``root``, from the first suite that has them."""
    reasons = []
    for suite in ("sid", "bullseye"):
        (scratch / suite).mkdir()
        try:
            apt = PrivateApt(scratch / suite, ("amd64",), suite=suite)
            packages = [apt.download_alone(name) for name in _ANDROID]
        except MissingDependencyError as error:
            reasons.append(str(error))
        else:
            unpack(packages, scratch / "root")
            return
    unavailable(f"Android's classes can't be fetched: {'; '.join(reasons)}")


def compile_for_android(sources: list[Path], classes: Path) -> None:
    """Compile Java against the classes of Android 6.0 alone; warnings are errors."""
    run(
        [
            *(tool("javac", "default-jdk-headless"), "-Xlint:all,-options", "-Werror"),
            *("-source", "8", "-target", "8", "-encoding", "UTF-8", "-d", str(classes)),
            *("-bootclasspath", str(android() / "usr/share/java/com.android.android-23.jar")),
            *map(str, sources),
        ],
        classes.parent,
    )
