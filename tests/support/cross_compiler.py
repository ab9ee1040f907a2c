"""Clang for phones' CPUs, with Apple's headers of the C library: Zig's wheel carries both.

Neither Google's NDK nor Apple's SDK can be had from a package registry. What comes nearest: clang
and libc++, which both vendors use. For Apple with Apple's own headers of the C library and of the
Objective-C runtime (``apple/`` has declarations of Foundation); for Android with those of musl in
place of bionic's.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from resnet_deploy.artifact.files import cache_folder
from tests.support.native_toolchain import run, unavailable

APPLE = Path(__file__).parent / "apple"
"""Declarations of Foundation."""

IOS = "aarch64-ios.15.0"
LINUX_ARM64 = "aarch64-linux-musl"


def compile_object(source: Path, made: Path, target: str, *options: str) -> bytes:
    """Compile ``source`` for ``target``, warnings being errors, and return the object file.

    ``options`` are clang's.
    """
    zig = importlib.util.find_spec("ziglang")
    if zig is None or zig.origin is None:
        unavailable("ziglang is not installed: pip install ziglang")
    strict = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")
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
