"""Where work is spread over: what ``--cluster`` says."""

from __future__ import annotations

import re
from dataclasses import dataclass

from resnet_deploy.errors import SpecError

_ADDRESS = re.compile(r"ray://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


@dataclass(frozen=True, kw_only=True)
class ClusterSpec:
    """A Ray cluster, and how much of it is used.

    Args:
        host: of its head node; empty: a Ray of its own on this machine, which ends with the work.
        port: that its head node listens on, 6379 unless another was chosen.
        workers: processes of one core each; 0 are as many as the cluster has CPUs.
    """

    host: str = ""
    port: int = 0
    workers: int = 0

    @classmethod
    def parse(cls, text: str, workers: int = 0) -> ClusterSpec:
        """Return what ``text`` says, ``ray`` or ``ray://HOST:PORT``.

        Raises:
            SpecError: it says something else.
        """
        if text == "ray":
            return cls(workers=workers)
        match = _ADDRESS.fullmatch(text)
        if match is None or not 0 < int(match[2]) < 2**16:
            raise SpecError(
                f"--cluster {text!r} is neither ray (on this machine) nor ray://HOST:PORT (the "
                "head node of a running cluster, such as ray://10.0.0.1:6379)"
            )
        return cls(host=match[1].strip("[]"), port=int(match[2]), workers=workers)

    def __str__(self) -> str:
        if not self.host:
            return "ray"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ray://{host}:{self.port}"
