"""First and second moments of what each layer multiplies with its weights.

For a layer ``y = W x + b`` (a convolution is a matrix product over im2col rows ``x``), replacing
``W`` by ``W + D`` and correcting the mean in ``b`` changes the output by a mean square of
``D Cov(x) D^T``. So the covariance of the rows is all that rounding needs to know about the data.
Like the histograms, moments are sums: they stream, and memory does not grow with the images.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.processes.in_order import in_order
from resnet_deploy.progress import Progress, silent
from resnet_deploy.quantization.kernels import windows_of
from resnet_deploy.quantization.observers import pieces
from resnet_deploy.quantization.ranges import QuantizationParameters
from resnet_deploy.runners.cpu import default_threads
from resnet_deploy.runners.ort_runner import open_session, serialized_with_outputs
from resnet_deploy.spec import SessionSpec

LARGEST_DEPTH = 8192
"""Values per row beyond which no covariance is kept: its square would fill the memory."""

_CHEAP_DEPTH = 600
_CHEAP_WEIGHTS = 40_000
"""Values per row, and weights, up to which rounding a layer's weights together costs next to
nothing, and is always done: all of a CIFAR net's 3x3 layers, of an ImageNet net's the first ones.

First layers are among them. Neighbouring pixels are much alike, so errors of weights add up there
more than anywhere: ResNet-20 from bytes, all pairs of codes within int16, is at 29.9 dB with
weights rounded alone and at 31.4 dB with those of up to 256 values rounded together; channels
equalised, 31.8 dB and, up to 600, 32.3 dB.
"""

_ENOUGH_ROWS = 16384
"""Rows per layer; at least four times the depth are taken where there are as many."""

_ENOUGH_IMAGES_FOR_MEANS = 128
"""Images from which means and variances are taken; covariances take all."""

_MOST_FOR_MEANS = 256
"""Rows per image and layer where only means and variances are wanted."""

_WAITING_BYTES = 8e6
"""Of rows per layer that wait to be multiplied with each other."""

_GOLDEN = (5**0.5 - 1) / 2

_MEMORY = 320e6
"""Bytes of covariance matrices collected at once; a net that needs more is run several times."""


@dataclass(frozen=True)
class LayerInput:
    """How the layer ``node`` reads ``tensor``, which is u8 with ``parameters``.

    ``kernel`` is the spatial size of its weights, empty for a Gemm; ``depth`` is the number of
    weights per output channel, ``weights`` that of the layer.
    """

    node: ir.Node
    tensor: str
    parameters: QuantizationParameters
    kernel: tuple[int, ...]
    depth: int
    weights: int
    groups: int = 1

    def keeps_covariance(self, *, wanted: bool) -> bool:
        """Return whether covariances of the rows are collected; ``wanted``: not only cheap ones."""
        if wanted:
            return self.depth <= LARGEST_DEPTH
        cheap = self.depth <= _CHEAP_DEPTH and self.weights <= _CHEAP_WEIGHTS
        return self.groups == 1 and cheap

    def rows(self, x: Array, most: int) -> Array:
        """Return im2col rows ``(groups, R, depth)`` of ``x``, in the order of the weights.

        ``x`` is ``(N, C, ...)``, or ``(N, depth)`` for a Gemm. Of its output pixels about ``most``
        are taken, one from each of as many equal parts. Where in its part follows the golden
        ratio: equal steps would stay in a few columns of the image, its border among them.
        """
        if not self.kernel:
            return x[None]
        view = windows_of(self.node, x, self.kernel, 0)  # (N, C, *output, *kernel)
        places = (len(x), *view.shape[2 : 2 + len(self.kernel)])
        count = int(np.prod(places))
        number = np.arange(min(most, count))
        part = count / len(number)
        chosen = ((number + (number * _GOLDEN % 1 if part > 1 else 0)) * part).astype(np.int64)
        image, *pixel = np.unravel_index(chosen, places)
        where: tuple[Any, ...] = (image, slice(None), *pixel)
        taken = view[where]  # (R, C, *kernel): only these are copied
        grouped = taken.reshape(len(chosen), self.groups, self.depth)
        return np.ascontiguousarray(grouped.transpose(1, 0, 2))


class Moments:
    """Sums over the rows of one layer, by group; with ``covariance`` of their products as well.

    Over fewer than ``fewest_rows``, a covariance says more of these rows than of others, and counts
    as not collected.
    """

    def __init__(self, *, covariance: bool, fewest_rows: int = 0) -> None:
        self.rows = 0
        self._covariance = covariance
        self._fewest_rows = fewest_rows
        self._waiting: list[Array] = []
        self._waiting_bytes = 0
        # Products are summed around a value near the mean: no digits cancel, even in float32.
        self._origin: Array = np.zeros(0)
        self._exact: Array = np.zeros(0)
        self._rounded: Array = np.zeros(0)
        self._square: Array = np.zeros(0)

    def add(self, exact: Array, rounded: Array) -> None:
        """Add rows ``(groups, R, depth)`` before and after their quantization to u8."""
        if self.rows == 0:
            groups, _, depth = rounded.shape
            self._origin = rounded.mean(axis=1, keepdims=True)
            self._exact = np.zeros((groups, depth))
            self._rounded = np.zeros((groups, depth))
            shape = (groups, depth, depth) if self._covariance else (groups, depth)
            self._square = np.zeros(shape, np.float32)
        self.rows += exact.shape[1]
        self._exact += exact.sum(axis=1, dtype=np.float64)
        rounded = rounded - self._origin
        self._rounded += rounded.sum(axis=1, dtype=np.float64)
        if not self._covariance:
            with np.errstate(over="ignore"):  # huge activations: a variance that is infinite
                self._square += np.square(rounded).sum(axis=1)
            return
        self._waiting.append(rounded)
        self._waiting_bytes += rounded.nbytes
        if self._waiting_bytes >= _WAITING_BYTES:
            self._flush()

    def _flush(self) -> None:
        """Sum up the products of the rows that wait: large matrix products are the fast ones."""
        if self._waiting:
            rows = np.concatenate(self._waiting, axis=1)
            self._waiting.clear()
            self._waiting_bytes = 0
            self._square += np.matmul(rows.transpose(0, 2, 1), rows)

    @property
    def mean_exact(self) -> Array:
        """The mean row before quantization, ``(groups, depth)``."""
        return np.asarray(self._exact / self.rows)

    @property
    def mean(self) -> Array:
        """The mean row as the int8 kernel sees it, ``(groups, depth)``."""
        return np.asarray(self._rounded / self.rows + self._origin[:, 0])

    @property
    def variance(self) -> Array:
        """The variance of each value of a row, ``(groups, depth)``."""
        self._flush()
        square = self._square
        if self._covariance:
            square = np.diagonal(square, axis1=1, axis2=2)
        shifted = self._rounded / self.rows
        return np.asarray(np.maximum(square / self.rows - shifted**2, 0.0))

    def covariances(self) -> list[Array | None]:
        """Return ``(depth, depth)`` in float64 for each group, or None where not collected."""
        self._flush()
        shifted = self._rounded / self.rows
        if not self._covariance or self.rows < self._fewest_rows:
            return [None] * len(shifted)
        return [
            square.astype(np.float64) / self.rows - np.outer(mean, mean)
            for square, mean in zip(self._square, shifted, strict=True)
        ]


def layer_moments(
    model: onnx.ModelProto,
    inputs: Mapping[str, LayerInput],
    batches: Iterable[Array],
    *,
    images: int,
    covariance: bool,
    threads: int = 0,
    progress: Progress = silent,
) -> Iterator[tuple[str, Moments]]:
    """Yield the moments of each layer in ``inputs`` of the fp32 ``model``, a few layers at a time.

    ``batches`` are ``images`` calibration images, float32 ``(N, C, H, W)``; they are iterated once
    per group of layers. Without ``covariance`` most layers have means and variances only.
    """
    stride = 1 if covariance else stride_for_means(images)
    images = -(-images // stride)
    groups = list(_affordable(inputs, covariance=covariance))
    # Products of large matrices keep all cores busy by themselves.
    workers = 1 if covariance else threads or default_threads()
    for number, layers in enumerate(groups):
        found = {
            name: Moments(
                covariance=inputs[name].keeps_covariance(wanted=covariance),
                fewest_rows=0 if covariance else 4 * inputs[name].depth,
            )
            for name in layers
        }
        tensors = list(dict.fromkeys(inputs[name].tensor for name in layers))
        rows_per_image = {
            name: max(1, -(-max(_ENOUGH_ROWS, 4 * inputs[name].depth) // images)) for name in layers
        }
        if not covariance:
            rows_per_image = {name: min(n, _MOST_FOR_MEANS) for name, n in rows_per_image.items()}
        done = number * images
        for count, values in traced(model, tensors, islice(batches, 0, None, stride), threads):
            tasks = [
                (
                    found[name],
                    inputs[name],
                    values[inputs[name].tensor],
                    rows_per_image[name] * count,
                )
                for name in layers
            ]
            for _ in in_order(_add_rows, tasks, workers=workers, waiting=workers):
                pass  # what adding raises is raised here
            done += count
            progress("weighing layers", done, images * len(groups))
        while found:
            yield found.popitem()


def _add_rows(task: tuple[Moments, LayerInput, Array, int]) -> None:
    """Add about so many rows of a layer's input to its moments."""
    moments, layer, value, most = task
    rows = layer.rows(value, most)
    moments.add(rows, layer.parameters.rounded(rows))


def stride_for_means(images: int) -> int:
    """Return ``n``: every n-th of the batches of ``images`` is enough for means and extremes."""
    return max(1, images // _ENOUGH_IMAGES_FOR_MEANS)


def _affordable(inputs: Mapping[str, LayerInput], *, covariance: bool) -> Iterator[list[str]]:
    """Yield groups of layers whose covariance matrices fit into ``_MEMORY`` together."""
    group: list[str] = []
    used = 0.0
    for name, layer in inputs.items():
        matrix = layer.keeps_covariance(wanted=covariance)
        size = 4.0 * layer.groups * layer.depth * (layer.depth if matrix else 1)
        if group and used + size > _MEMORY:
            yield group
            group, used = [], 0.0
        group.append(name)
        used += size
    if group:
        yield group


def traced(
    model: onnx.ModelProto, tensors: Sequence[str], batches: Iterable[Array], threads: int
) -> Iterator[tuple[int, dict[str, Array]]]:
    """Yield the number of images and the values of ``tensors``, batch by batch."""
    source = model.graph.input[0].name
    names = [name for name in tensors if name != source]
    session = open_session(
        serialized_with_outputs(model, names), SessionSpec(threads=threads, spin=False)
    )
    fixed = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value
    for batch in batches:
        for piece, count in pieces(batch, fixed or len(batch)):
            # Asked for nothing, ONNX Runtime would give all outputs.
            values = [piece, *(session.run(names, {source: piece}) if names else ())]
            real = (value[:count] for value in values)
            yield count, dict(zip((source, *names), real, strict=True))
