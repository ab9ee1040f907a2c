"""What a bundle holds, and how to prove it."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_deploy.results.base import Result


@dataclass(frozen=True, kw_only=True)
class BundleReport(Result):
    """A bundle that was written.

    ``sizes`` is bytes by file name; ``commands`` what makes it run its self-test, in its folder;
    ``notes`` what its receiver should know.
    """

    target: str
    folder: str
    model: str
    precision: str
    sha256: str
    sizes: dict[str, int]
    cases: int
    real_pictures: int
    tolerance: float
    commands: tuple[str, ...]
    notes: tuple[str, ...] = ()
