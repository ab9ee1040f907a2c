"""Files outside the folder of an input that must not be opened, watched by the kernel.

The audit hook of ``watch.py`` sees what Python opens. ONNX, libtiff, safetensors and Arrow open
files by themselves; whatever opens one of these, inotify tells.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from pathlib import Path
from typing import Final

_FLAGS: Final = 0x20 | 0x2 | 0x100 | 0x200 | 0x40 | 0x80
"""IN_OPEN, IN_MODIFY, IN_CREATE, IN_DELETE, IN_MOVED_FROM, IN_MOVED_TO; see inotify(7)."""

_FOLDER: Final = 0x40000000


class Outside:
    """Two folders above an input's with a file ``x`` in each.

    Args:
        root: the upper one, which is there and empty.
    """

    def __init__(self, root: Path) -> None:
        self.inside = root / "a" / "in"
        self.inside.mkdir(parents=True)
        self._descriptor = -1
        for folder in (root, root / "a"):
            (folder / "x").write_bytes(b"outside\n")
        if sys.platform != "linux":
            return
        library = ctypes.CDLL(None, use_errno=True)
        self._descriptor = library.inotify_init1(os.O_NONBLOCK)
        for folder in (root, root / "a"):
            library.inotify_add_watch(self._descriptor, os.fsencode(folder), _FLAGS)

    def touched(self) -> str | None:
        """Return which file was opened, changed or made since it was asked last; None: none."""
        found = None
        while self._descriptor >= 0:
            try:
                events = os.read(self._descriptor, 65536)
            except BlockingIOError:
                break
            at = 0
            while at < len(events):
                _, mask, _, size = struct.unpack_from("iIII", events, at)
                name = events[at + 16 : at + 16 + size].rstrip(b"\0")
                at += 16 + size
                if mask & _FLAGS and not mask & _FOLDER:
                    found = f"a file outside is touched: {os.fsdecode(name)!r} (event {mask:#x})"
        return found

    def close(self) -> None:
        """Stop watching."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
