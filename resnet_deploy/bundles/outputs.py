"""The float32 outputs of a bundle's networks: names, shapes, and which of their values are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from resnet_deploy.bundles.contract import Contract
from resnet_deploy.bundles.golden import Answer
from resnet_deploy.errors import UnsupportedGraphError

_MOST_VALUES: Final = 65_536
"""So many values of feature maps are recorded for one golden case: 256 kB.

ResNet-50's four maps have 1.5 million of a picture of 224 pixels, 6 MB for each case.
"""


@dataclass(frozen=True, kw_only=True)
class Output:
    """What a network gives for one picture.

    ``shape`` is without the batch; of a classifier it is ``(classes,)`` or ``(k,)``. Of its values
    in C order, each ``every``-th is recorded, from the first on. That number has no factor in
    common with the shape, so no channel, row or column is passed over; 1 where the output is small
    or has classes.
    """

    name: str
    shape: tuple[int, ...]
    every: int

    @property
    def size(self) -> int:
        """How many values it has for one picture."""
        return math.prod(self.shape)

    @property
    def recorded(self) -> int:
        """How many of them are recorded for a golden case."""
        return -(-self.size // self.every)


def outputs_of(contract: Contract, answers: Sequence[Answer]) -> tuple[Output, ...]:
    """Return the outputs of the networks that gave ``answers``, in the order of their names.

    Raises:
        UnsupportedGraphError: their shapes differ from picture to picture, or from network to
            network, or there is nothing in them.
    """
    shapes = {answer.shapes for answer in answers}
    if len(shapes) > 1 or not all(math.prod(shape) for shape in next(iter(shapes))):
        raise UnsupportedGraphError(
            f"{contract.name}.onnx gives outputs of other shapes for other pictures, or empty "
            "ones: bundles hold networks whose outputs have one size"
        )
    (found,) = shapes
    # Top-K nets have a second output, of classes.
    named = zip(contract.output_names, found, strict=not contract.has_classes)
    limit = max(1, _MOST_VALUES // len(found))
    return tuple(
        Output(
            name=name,
            shape=shape,
            every=1 if contract.has_classes else _every(math.prod(shape), limit),
        )
        for name, shape in named
    )


def _every(size: int, limit: int) -> int:
    """Return the smallest step that leaves at most ``limit`` of ``size`` values.

    It is coprime to ``size``, so that the values that it meets lie in every row and column.
    """
    step = -(-size // limit)
    while math.gcd(step, size) > 1:
        step += 1
    return step
