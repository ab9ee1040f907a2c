"""What may come out of a small file: checked before memory is asked for."""

from __future__ import annotations

from resnet_deploy.errors import DatasetError

_SMALL = 1 << 29
_LARGEST_RATIO = 100
"""Pictures shrink to a half or a tenth, masks to a fiftieth: what unpacks to more than half a
gigabyte and a hundred times its size is a bomb."""


def check_unpacked(what: str, unpacked: int, held: int) -> None:
    """Refuse what makes ``unpacked`` bytes of the ``held`` bytes of a file; ``what`` is its name.

    Raises:
        DatasetError: no pictures do.
    """
    if unpacked > max(_SMALL, _LARGEST_RATIO * held):
        raise DatasetError(
            f"{what} unpacks to {unpacked >> 20} MiB, {unpacked // max(1, held)} times its size: "
            "no pictures do"
        )
