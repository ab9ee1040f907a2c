"""Where values that are files live before anybody saves them."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path


class Scratch:
    """A temporary folder that is there as long as something refers to this object.

    What a verb makes is a value; runtimes in other processes still need a file to open. An
    :class:`~resnet_deploy.artifact.onnx_file.Artifact` holds on to the folder of its own.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="resnet-deploy-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
