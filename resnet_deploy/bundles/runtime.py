"""The runtimes that a bundle runs on."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_deploy.spec import BundleRuntime


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """A runtime that a bundle runs on, and how it opens the model.

    ``kind`` is ONNX Runtime or OpenVINO alone. ``threads`` are as ``tune`` found them, 0 where the
    machine that runs it decides; ``spin``: idle threads wait actively. ``options`` are further
    session options by the runtime's own names, as those of ``SessionSpec``. ``min_version`` is the
    first release that runs the files, ``made_with`` the installed one whose answers are recorded.
    """

    kind: BundleRuntime
    threads: int = 0
    spin: bool = True
    options: tuple[tuple[str, str], ...] = ()
    min_version: str
    made_with: str
