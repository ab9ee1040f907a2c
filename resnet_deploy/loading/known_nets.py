"""Which net of timm or torchvision a state dict is of, by the names and shapes of all its tensors.

``known_nets.txt`` holds a fingerprint of each of their nets that is not built here, and the nets
that have it. How many classes and input channels a net has is no part of it. Written by
``bench/known_nets.py`` with timm 1.0.31 and torchvision 0.28.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import re
from collections.abc import Mapping, Sequence

from torch import Tensor

from resnet_deploy.models.layouts import strip_prefixes

_MOST_NAMED = 3
_PICTURES = (1, 3, 4)
_HEAD = re.compile(
    r"(?:^|\.)(?:\w*head\w*|fc|classifier|last_linear|linear|\w*logits)(?:\.|$)", re.I
)


def known_nets(state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Return what ``--model`` takes for the nets that have these tensors; empty: none is known."""
    table = _table()
    for tensors in (state, strip_prefixes(dict(state))):
        found = table.get(fingerprint({key: tuple(t.shape) for key, t in tensors.items()}))
        if found:
            return found
    return ()


def fingerprint(shapes: Mapping[str, Sequence[int]]) -> str:
    """Return ten hexadecimal digits of the names and ``shapes`` of the tensors of a net.

    The first number of a classifier's shapes does not count, nor a convolution's second one that
    may be that of a picture's channels; counters, of no dimension, don't count.
    """
    lines = []
    for key, shape in shapes.items():
        numbers = ["?" if _HEAD.search(key) else str(size) for size in shape[:1]]
        numbers += map(str, shape[1:])
        if len(shape) == 4 and shape[1] in _PICTURES:
            numbers[1] = "?"
        if numbers:
            lines.append(" ".join((key, *numbers)))
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:10]


def others_alike(models: Sequence[str]) -> str:
    """Return in words which nets besides the first of ``models`` have the same tensors."""
    others = models[1 : 1 + _MOST_NAMED]
    more = f" and {len(models) - 1 - len(others)} more" if len(models) > 1 + len(others) else ""
    return f" (of the same tensors: {', '.join(others)}{more})" if others else ""


@functools.cache
def _table() -> Mapping[str, tuple[str, ...]]:
    text = importlib.resources.files(__package__).joinpath("known_nets.txt").read_text("ascii")
    rows = (line.split() for line in text.splitlines())
    return {row[0]: tuple(row[1:]) for row in rows}
