"""Matrix products of numpy in the thread that asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Keep BLAS from threads of its own in the block.

    Where as many threads compute as there are cores, more only take the cores from them: those of
    OpenBLAS wait actively for the next product.
    """
    with threadpool_limits(1, user_api="blas"):
        yield
