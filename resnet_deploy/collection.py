"""Python's garbage collector, and when it is in the way."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """Keep the collector of cycles out of the block; also as a decorator.

    Where millions of objects are made that stay (imports, traces, graphs), it walks over all of
    them again and again, and finds nothing.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@contextmanager
def set_aside() -> Iterator[None]:
    """Keep the collector from all that there is when the block begins; also as a decorator.

    Once PyTorch is imported, one collection takes up to half a second. What the block makes is
    collected as ever.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
