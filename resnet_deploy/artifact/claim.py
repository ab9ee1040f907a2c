"""A folder that one command at a time works in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from resnet_deploy.artifact.unfinished import LOCKABLE, lock
from resnet_deploy.errors import ArtifactError, SpecError


class Claim:
    """A folder that others of its kind keep out of, from :meth:`take` to the end of the ``with``.

    A second training would replace the checkpoints of the first, a second search its trials. The
    system drops the claim with the process, however that ends, and nothing stays in the folder.
    Where folders can't be locked (Windows, some network file systems) nothing is claimed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None

    def take_if_there(self) -> None:
        """Claim the folder, if it exists by now.

        Raises:
            SpecError: another command has it.
        """
        if self._folder.is_dir():
            self.take()

    def take(self) -> bool:
        """Claim the folder, which is made where it is missing; return False if it was claimed.

        Raises:
            ArtifactError: it can't be made.
            SpecError: another command has it.
        """
        if self._descriptor is not None:
            return False
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._folder, os.O_RDONLY) if LOCKABLE else None
        except OSError as error:
            raise ArtifactError(
                f"cannot make the folder {self._folder}: {error.strerror}: name another with -o"
            ) from error
        if descriptor is None:
            return True
        try:
            lock(descriptor)
        except BlockingIOError:
            os.close(descriptor)
            raise SpecError(
                f"another command is writing to {self._folder}: wait for it, or choose another "
                "folder"
            ) from None
        except OSError:
            os.close(descriptor)
            return True
        self._descriptor = descriptor
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
