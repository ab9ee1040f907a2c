"""What stands where a pickle names a class or a function: inert, whatever that does elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_LONGEST_NAME = 200

_OLD_MODULES = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "numpy._core.multiarray": "numpy.core.multiarray",
    "numpy._core.numeric": "numpy.core.numeric",
}
"""Python 2's names, and numpy's of two generations."""


@dataclass(slots=True, eq=False, repr=False)
class Named:
    """A class or function that a file names; it was not looked up."""

    name: str

    def __repr__(self) -> str:
        return f"<{self.name}>"


@dataclass(slots=True, eq=False, repr=False)
class StandIn:
    """An object of a class that is not known here: what its file says of it, as data.

    ``of`` is the class, or the function that would have made it; ``state`` what its
    ``__setstate__`` would have got; ``entries`` and ``elements`` what a dict or list of it holds.
    """

    of: str
    arguments: tuple[Any, ...] = ()
    state: Any = None
    entries: dict[Any, Any] | None = None
    elements: list[Any] | None = None

    def build(self, state: Any) -> None:
        """Keep ``state``, where Python would call ``__setstate__``."""
        self.state = state

    @property
    def attributes(self) -> dict[Any, Any] | None:
        """Its attributes by name; None where its state is something else."""
        state = self.state
        if isinstance(state, tuple) and state and isinstance(state[0], dict):
            state = state[0]  # the second part is of __slots__
        return state if isinstance(state, dict) else None

    def __repr__(self) -> str:
        return f"<{self.of}>"


def name_of(module: str, name: str) -> str:
    """Return the dotted name of a global, fit for a line of text."""
    # Cut first: a file may name millions of times what it spells once, in megabytes.
    module, name = module[:_LONGEST_NAME], name[:_LONGEST_NAME]
    full = f"{_OLD_MODULES.get(module, module)}.{name}"[:_LONGEST_NAME]
    return "".join(letter if letter.isprintable() else "?" for letter in full)
