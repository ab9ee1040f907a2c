"""PyTorch traces in one thread at a time, and while it does no other thread runs a module.

torch.fx, and torch.export through it, replace ``nn.Module.__call__`` for all threads while they
trace. A module that another thread calls meanwhile is taken for part of the trace ("module is not
installed as a submodule"), and two traces at once put back each other's replacement: every later
call in the process fails. torch.export keeps more of its modes in globals, and the exporter swaps
stdout to hold back what it says.
"""

from __future__ import annotations

import threading

ONE_AT_A_TIME = threading.RLock()
"""Held by whoever traces a module, runs one, or copies one that another thread may run."""
