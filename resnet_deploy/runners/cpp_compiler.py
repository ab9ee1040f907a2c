"""Whether this machine can compile C++ for Python, as TorchInductor does at run time."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

_DEFAULT = {"darwin": "clang++", "win32": "cl"}


def what_is_missing() -> str | None:
    """Return what to install before C++ can be compiled, and how; None when all is there.

    ``CXX`` names another compiler than the system's usual one.
    """
    compiler = os.environ.get("CXX") or _DEFAULT.get(sys.platform, "g++")
    if shutil.which(compiler) is None:
        return f"the C++ compiler {compiler}: apt-get install g++, or name another one in CXX"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "the headers of Python: apt-get install python3-dev"
    return None
