"""What calibration images show of each channel of a tensor.

ONNX Runtime reduces the tensors itself, in the same run: only a few numbers per image and channel
come back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import onnx
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.errors import DatasetError
from resnet_deploy.progress import ImageStage, Progress
from resnet_deploy.quantization.moments import stride_for_means, traced
from resnet_deploy.quantization.relu_sums import ReluTerm, extended

_IMAGE_RANK = 4


@dataclass(frozen=True)
class Observed:
    """A tensor to look at, ``(N, C, H, W)`` if it is an ``image`` and ``(N, C)`` if not.

    ``term``: it is one of a sum in front of a ReLU, of which only some values count. ``signed``: it
    has negative values. ``power``: what its mean square is by channel is wanted.
    """

    name: str
    image: bool
    term: ReluTerm | None = None
    signed: bool = True
    power: bool = False

    @classmethod
    def of(cls, value: ir.Value, *, term: ReluTerm | None = None, power: bool = False) -> Observed:
        """Return ``value`` of a graph as what to look at."""
        image = value.shape is None or len(value.shape) == _IMAGE_RANK
        producer = value.producer()
        signed = producer is None or producer.op_type != "Relu"
        return cls(str(value.name), image=image, term=term, signed=signed, power=power)

    def _reduced(self) -> dict[str, list[onnx.NodeProto]]:
        """Return, by the name of each result, the operators that compute it."""
        name, make = self.name, onnx.helper.make_node
        counted = name if self.term is None else self.term.active
        found = {f"{name}.high": [make("GlobalMaxPool", [counted], [f"{name}.high"])]}
        below = [counted] if self.signed else []
        below += [] if self.term is None else [self.term.inactive]
        for number, tensor in enumerate(below):
            low, negative = f"{name}.low_{number}", f"{name}.negative_{number}"
            found[low] = [
                make("Neg", [tensor], [negative]),
                make("GlobalMaxPool", [negative], [low]),
            ]
        if self.power:
            found[f"{name}.power"] = [
                make("Mul", [name, name], [f"{name}.square"]),
                make("GlobalAveragePool", [f"{name}.square"], [f"{name}.power"]),
            ]
        return found

    @property
    def outputs(self) -> list[str]:
        """The tensors that tell about this one."""
        return list(self._reduced()) if self.image else [self.name]

    def nodes(self) -> list[onnx.NodeProto]:
        """Return what computes them."""
        if not self.image:
            return []
        terms = [] if self.term is None else self.term.nodes()
        return terms + [node for nodes in self._reduced().values() for node in nodes]


@dataclass
class ChannelRanges:
    """What calibration images show of the channels of one tensor: arrays ``(C,)``.

    ``low`` and ``high`` are the extremes, at least 0 either way; ``power`` is the mean square, all
    zero where it was not asked for.
    """

    low: Array
    high: Array
    power: Array

    @classmethod
    def of(cls, observed: Observed, values: dict[str, Array]) -> ChannelRanges:
        """Return what ``values``, of the tensors ``observed.outputs``, say."""
        if not observed.image:
            x = values[observed.name]
            return cls(
                np.minimum(x.min(axis=0), 0),
                np.maximum(x.max(axis=0), 0),
                np.square(x, dtype=np.float64).mean(axis=0),
            )
        found = {
            name.removeprefix(f"{observed.name}."): values[name].reshape(*values[name].shape[:2])
            for name in observed.outputs
        }
        high = np.maximum(found["high"].max(axis=0), 0)
        lows = [x.max(axis=0) for what, x in found.items() if what.startswith("low")]
        low = -np.max([np.zeros_like(high), *lows], axis=0)
        power = found.get("power", np.zeros((1, len(high)))).mean(axis=0, dtype=np.float64)
        return cls(low, high, power)

    def joined(self, other: ChannelRanges, share: float) -> ChannelRanges:
        """Return both as one; ``share`` of all images are those of ``other``."""
        return ChannelRanges(
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            self.power + share * (other.power - self.power),
        )


def channel_ranges(
    model: onnx.ModelProto,
    tensors: Sequence[Observed],
    batches: Iterable[Array],
    images: int,
    threads: int,
    progress: Progress,
    *,
    all_images: bool = False,
) -> dict[str, ChannelRanges]:
    """Return what the ``images``, 128 of them or all, show of the channels of ``tensors``, by name.

    Raises:
        DatasetError: an activation is NaN or infinite.
    """
    found: dict[str, ChannelRanges] = {}
    stride = 1 if all_images else stride_for_means(images)
    images = -(-images // stride)
    done = 0
    outputs = [name for tensor in tensors for name in tensor.outputs]
    with extended(model, [node for tensor in tensors for node in tensor.nodes()]):
        for count, values in traced(model, outputs, islice(batches, 0, None, stride), threads):
            done += count
            for tensor in tensors:
                ranges = ChannelRanges.of(tensor, values)
                known = found.get(tensor.name)
                found[tensor.name] = ranges if known is None else known.joined(ranges, count / done)
            progress(ImageStage("looking at channels"), min(done, images), images)
    for name, ranges in found.items():
        if not (np.isfinite(ranges.low).all() and np.isfinite(ranges.high).all()):
            raise DatasetError(
                f"activation {name} is NaN or infinite on a calibration image: check the "
                "images and the weights"
            )
    return found
