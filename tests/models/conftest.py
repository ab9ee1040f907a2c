"""PyTorch runs on one thread here."""

from tests.support.threads import one_thread

__all__ = ["one_thread"]
