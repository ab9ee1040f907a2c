"""Whether two machines compute the same bits: the releases that matter, and the kind of CPU."""

from __future__ import annotations

import platform
import socket
from dataclasses import dataclass

from resnet_deploy.errors import RunnerError
from resnet_deploy.runners.cpu import isa, versions
from resnet_deploy.version import __version__

_PACKAGES = ("numpy", "onnxruntime", "pillow")
"""What decodes, resizes and computes."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the bits of a result depend on, besides the model and the pictures.

    ``isa`` are the vector extensions, by which ONNX Runtime chooses its kernels: another order of
    the same float sums gives other bits.
    """

    versions: tuple[tuple[str, str], ...]
    architecture: str
    isa: tuple[str, ...]

    @classmethod
    def here(cls) -> Machine:
        """Return this machine."""
        found = {"resnet-deploy": __version__, **versions(_PACKAGES)}
        return cls(
            versions=tuple(sorted(found.items())),
            architecture=platform.machine(),
            isa=tuple(sorted(isa())),
        )

    def check_here(self) -> None:
        """Refuse this machine, if it may give other bits.

        Raises:
            RunnerError: a release or the kind of CPU is another one.
        """
        here = Machine.here()
        if here == self:
            return
        others = dict(self.versions)
        different = [
            f"{name} {version} instead of {others.get(name, 'none')}"
            for name, version in here.versions
            if others.get(name) != version
        ]
        if (here.architecture, here.isa) != (self.architecture, self.isa):
            kinds = [f"{each.architecture} ({', '.join(each.isa)})" for each in (here, self)]
            different.append(f"a CPU {kinds[0]} instead of {kinds[1]}")
        raise RunnerError(
            f"the node {socket.gethostname()} has {'; '.join(different)}: its results would not "
            "be those of this machine, bit by bit; let all nodes have the same"
        )
