"""One training per folder: a second one would replace the first one's checkpoints."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from resnet_deploy.errors import SpecError


class Claim:
    """A folder that other trainings keep out of, from :meth:`take` to the end of the ``with``.

    The system drops the claim with the process, however that ends, and nothing stays in the
    folder. Where folders can't be locked (Windows, some network file systems) nothing is claimed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None

    def take(self) -> None:
        """Claim the folder, if it exists by now.

        Raises:
            SpecError: another training has it.
        """
        try:
            import fcntl
        except ImportError:
            return
        if self._descriptor is not None or not self._folder.is_dir():
            return
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise SpecError(
                f"another training is writing to {self._folder}: wait for it, or choose another "
                "folder"
            ) from None
        except OSError:
            os.close(descriptor)
            return
        self._descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
