"""What two runs of a network have in common: their values, and what those mean.

A check that could not fail is not made: of values that are the same for every image, of the one
class there is, of decisions that never change, of the nearest of two images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.results import OutputDiff
from resnet_deploy.runners.classes import by_class
from resnet_deploy.runners.compare import (
    check_varies,
    cosines,
    decisions,
    is_constant,
    nearest,
    output_differences,
    same_class,
)
from resnet_deploy.spec import OutputKind

_FEWEST_NEIGHBOURS = 3
"""Of two images each is the other's nearest, whatever happens."""

_BY_CLASS = (OutputKind.LOGITS, OutputKind.SOFTMAX, OutputKind.SIGMOID)


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """How close the outputs for some images are; the fields are those of ``ParityCase``."""

    outputs: tuple[OutputDiff, ...]
    top1_equal: tuple[bool, ...] = ()
    answer: str = "top-1"
    answers_equal: tuple[bool, ...] = ()
    cosines: tuple[float, ...] = ()


class Expected:
    """The right answers to all images, to hold others against.

    Args:
        artifact: what is judged; of its kind are the answers.
        outputs: every output of the reference, ``(N, …)`` each.
        data: where the images come from.

    Raises:
        RunnerError: the reference gives the same for all images, so nothing could fail.
        UnsupportedGraphError: there are no numbers to compare, only those of classes.
    """

    def __init__(self, artifact: Artifact, outputs: Sequence[Array], data: str) -> None:
        self._artifact = artifact
        self._kind = artifact.output_kind
        self._outputs = tuple(outputs)
        self.not_compared: tuple[str, ...] = ()
        self._constant = self._find_constant(data)
        count = len(outputs[0])
        self._judged = True
        if self._kind in (OutputKind.BINARY, OutputKind.MULTI_LABEL):
            self._check_decisions(count)
        elif self._kind is OutputKind.EMBEDDING and count < _FEWEST_NEIGHBOURS:
            self._leave_out(f"nearest images, as there are only {count}")
        elif self._kind in _BY_CLASS and outputs[0][0].size == 1:
            self._leave_out("top-1, as there is one class")

    def likeness(self, got: Sequence[Array], chosen: Sequence[int]) -> Likeness:
        """Return how close ``got`` is to the answers to images ``chosen``.

        Raises:
            RunnerError: the outputs are not those of the reference.
        """
        index = list(chosen)
        expected = tuple(output[index] for output in self._outputs)
        found = output_differences(self._artifact, expected, got)
        outputs = tuple(output for output in found if output.name not in self._constant)
        first, second = expected[0], got[0]
        if self._kind is OutputKind.BINARY:
            rows = by_class(self._artifact, first), by_class(self._artifact, second)
            broken = np.isnan(rows[0]).any(axis=1) | np.isnan(rows[1]).any(axis=1)
            same = (rows[0].argmax(axis=1) == rows[1].argmax(axis=1)) & ~broken
            return Likeness(outputs=outputs, answer="decision", answers_equal=self._flags(same))
        if self._kind is OutputKind.MULTI_LABEL:
            ours, theirs = (decisions(self._artifact, answers) for answers in (first, second))
            return Likeness(
                outputs=outputs,
                answer="label",
                answers_equal=self._flags((ours == theirs)[ours | theirs]),
            )
        if self._kind is OutputKind.EMBEDDING:
            several = len(set(index)) == len(index) >= _FEWEST_NEIGHBOURS
            neighbours = nearest(first) == nearest(second) if several else np.array([], bool)
            return Likeness(
                outputs=outputs,
                answer="nearest image",
                answers_equal=self._flags(neighbours),
                cosines=cosines(first, second),
            )
        if self._kind is OutputKind.FEATURES:
            return Likeness(outputs=outputs, answer="")
        return Likeness(outputs=outputs, top1_equal=same_class(self._artifact, expected, got))

    def _flags(self, same: Array) -> tuple[bool, ...]:
        return tuple(same.tolist()) if self._judged else ()

    def _leave_out(self, what: str) -> None:
        self._judged = False
        self.not_compared = (*self.not_compared, what)

    def _check_decisions(self, count: int) -> None:
        made = decisions(self._artifact, self._outputs[0])
        if count > 1 and (made == made[0]).all():
            what = "decisions" if self._kind is OutputKind.BINARY else "labels"
            self._leave_out(f"{what}, as the reference gives all {count} images the same")

    def _find_constant(self, data: str) -> frozenset[str]:
        """Return the outputs that are the same for all images."""
        pairs = list(zip(self._artifact.outputs, self._outputs, strict=False))
        numbers = [(spec, one) for spec, one in pairs if np.issubdtype(one.dtype, np.floating)]
        found = [spec.name for spec, one in numbers if is_constant(one)]
        if not numbers:
            given = ", ".join(map(str, self._artifact.outputs))
            raise UnsupportedGraphError(
                f"{self._artifact.path.name} gives {given}, and "
                "only floating-point values are compared: export it without ArgMax"
            )
        if len(found) == len(numbers):
            what = f"{', '.join(found)} of {self._artifact.path.name}"
            check_varies(numbers[0][1], what, data)
        count = len(self._outputs[0])
        self.not_compared = tuple(
            f"{name}, as it is the same for all {count} images" for name in found
        )
        return frozenset(found)
