"""One ONNX node as the converters see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from resnet_deploy.errors import UnsupportedGraphError

Call = Callable[..., Tensor | tuple[Tensor, ...]]
"""A module or function; its arguments are tensors only, options are bound."""

Converted = tuple[Call, tuple[str, ...]]
"""What to call, and the names of the tensors it takes."""


@dataclass(frozen=True)
class Node:
    """One ONNX node, with the initializers known so far.

    ``outputs`` counts its outputs that something reads; ``inplace`` allows overwriting the
    first input.
    """

    where: str
    op_type: str
    opset: int
    inputs: tuple[str, ...]
    attributes: dict[str, Any]
    constants: dict[str, Tensor]
    outputs: int = 1
    inplace: bool = False

    def has(self, index: int) -> bool:
        """Return whether the optional input ``index`` is given."""
        return index < len(self.inputs) and self.inputs[index] != ""

    def constant(self, index: int) -> Tensor:
        """Return input ``index``, which must be an initializer.

        Raises:
            UnsupportedGraphError: it is computed while the model runs.
        """
        name = self.inputs[index]
        if name not in self.constants:
            raise self.unsupported(f"input {name!r} is not a constant")
        return self.constants[name]

    def ints(self, attribute: str, index: int) -> list[int] | None:
        """Return integers that older opsets keep in an attribute, newer ones in an input."""
        if attribute in self.attributes:
            return [int(value) for value in self.attributes[attribute]]
        return self.constant(index).tolist() if self.has(index) else None

    def unsupported(self, reason: str) -> UnsupportedGraphError:
        """Return the error to raise when this node can't be converted."""
        return UnsupportedGraphError(
            f"{self.where}: {reason}, which can't be rebuilt in PyTorch here"
        )


def identity(x: Tensor) -> Tensor:
    """Return ``x``: an operator that does nothing in evaluation."""
    return x
