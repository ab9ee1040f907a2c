"""What a file may ask for, and the two ways in which it is not read.

Sizes in a file are claims of a stranger. Nothing is allocated on their word: a :class:`Budget` of a
few times the file's own size pays for storages, for tensors (a view of one element can claim
25 GB) and for the operations of pickles.
"""

from __future__ import annotations

import mmap

Data = bytes | mmap.mmap
"""The content of a file, or of a part of it: anything with ``find``, ``len`` and slices."""

_TIMES = 8
"""Weights that are averaged, trained and best may share their storages, and zip files deflate."""

_FREE_BYTES = 16 << 20
_FREE_VIEWS = 1 << 30
"""Of tensors, in bytes: all of a VGG-19 may be one zero, expanded; a view takes no memory here."""

LONGEST_NAME = 1000
"""Letters of the name of a tensor: some of PyTorch's wrappers put a word in front of every part."""

MOST_TENSORS = 20_000
"""Of a net and those beside it: ten times as many as the deepest has."""

_MOST_OPERATIONS = 4_000_000
"""Of all pickles in a file: a ResNet-200 with its optimizer takes 100,000."""

_COPIED_AT_ONCE = 16
"""References that are copied for the price of one operation."""


class Refused(Exception):  # noqa: N818 - a verdict on a file; the door makes an error of it
    """Why a file is not read: the rest of a sentence that begins with the file's name."""


class Damaged(Exception):  # noqa: N818 - a verdict on a file; the door makes an error of it
    """A file breaks the rules of its format; the text says which."""


class Budget:
    """How much a file of ``file_bytes`` may make this process allocate and do."""

    def __init__(self, file_bytes: int) -> None:
        self._storages = _TIMES * file_bytes + _FREE_BYTES
        self._tensors = _TIMES * file_bytes + _FREE_VIEWS
        self._operations = _MOST_OPERATIONS

    def storage(self, count: int) -> None:
        """Pay for ``count`` bytes that are allocated.

        Raises:
            Refused: the file has asked for far more than it holds.
        """
        self._storages -= count
        self._check(self._storages)

    def tensor(self, count: int) -> None:
        """Pay for a tensor of ``count`` bytes, which may be a view.

        Raises:
            Refused: the file has asked for far more than it holds.
        """
        self._tensors -= count
        self._check(self._tensors)

    def operation(self, count: int = 1) -> None:
        """Pay for ``count`` operations of a pickle.

        Raises:
            Refused: there were too many.
        """
        self._operations -= count
        if self._operations < 0:
            raise Refused(
                f"holds more than {_MOST_OPERATIONS:,} objects beside its tensors: save the "
                "tensors alone"
            )

    def copies(self, count: int) -> None:
        """Pay for a copy of ``count`` references: one operation can repeat what a million made.

        Raises:
            Refused: as :meth:`operation`.
        """
        self.operation(count // _COPIED_AT_ONCE)

    @staticmethod
    def _check(left: int) -> None:
        if left < 0:
            raise Refused(
                "asks for far more memory than it holds numbers for: save contiguous tensors"
            )
