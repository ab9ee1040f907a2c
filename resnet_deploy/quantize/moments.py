"""First and second moments of what each layer multiplies with its weights.

For a layer ``y = W x + b`` (a convolution is a matrix product over im2col rows ``x``), replacing
``W`` by ``W + D`` and correcting the mean in ``b`` changes the output by a mean square of
``D Cov(x) D^T``. So the covariance of the rows is all that rounding needs to know about the data.
Like the histograms, moments are sums: they stream, and memory does not grow with the images.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from resnet_deploy.progress import Progress, silent
from resnet_deploy.quantize.codes import Codes
from resnet_deploy.quantize.windows import windows_of
from resnet_deploy.runtime.ort_runner import add_outputs, open_session
from resnet_deploy.spec import SessionSpec

Array = NDArray[Any]

LARGEST_DEPTH = 8192
"""Values per row beyond which no covariance is kept: its square would fill the memory."""

_ENOUGH_ROWS = 32768
"""Rows per layer; at least four times the depth are taken where there are as many."""

_MEMORY = 320e6
"""Bytes of covariance matrices collected at once; a net that needs more is run several times."""


@dataclass(frozen=True)
class LayerInput:
    """How the layer ``node`` reads ``tensor``, whose u8 codes are ``codes``.

    ``kernel`` is the spatial size of its weights, empty for a Gemm; ``depth`` is the number of
    weights per output channel.
    """

    node: ir.Node
    tensor: str
    codes: Codes
    kernel: tuple[int, ...]
    depth: int
    groups: int = 1

    def rows(self, x: Array) -> Array:
        """Return the im2col rows ``(groups, R, depth)`` of ``x``, in the order of the weights.

        ``x`` is ``(N, C, ...)``, or ``(N, depth)`` for a Gemm.
        """
        if not self.kernel:
            return x[None]
        view = windows_of(self.node, x, self.kernel, 0)  # (N, C, *output, *kernel)
        pixels = view.shape[2 : 2 + len(self.kernel)]
        grouped = view.reshape(
            len(x), self.groups, -1, int(np.prod(pixels)), int(np.prod(self.kernel))
        )
        return grouped.transpose(1, 0, 3, 2, 4).reshape(self.groups, -1, self.depth)


@dataclass
class Moments:
    """Sums over the rows of one layer, by group.

    ``exact`` and ``rounded`` are the sums of the rows before and after their quantization to u8,
    ``(groups, depth)``; ``square`` are the products of the rounded rows among each other,
    ``(groups, depth, depth)``, or without covariance their squares, ``(groups, depth)``.
    """

    rows: int = 0
    exact: Array = field(default_factory=lambda: np.zeros(0))
    rounded: Array = field(default_factory=lambda: np.zeros(0))
    square: Array = field(default_factory=lambda: np.zeros(0))

    def add(self, x: Array, x_rounded: Array, *, covariance: bool) -> None:
        """Add the rows ``(groups, R, depth)``."""
        square = (
            np.matmul(x_rounded.transpose(0, 2, 1), x_rounded)
            if covariance
            else np.square(x_rounded).sum(axis=1)
        )
        sums = x.sum(axis=1, dtype=np.float64), x_rounded.sum(axis=1, dtype=np.float64)
        if self.rows == 0:
            self.exact, self.rounded, self.square = *sums, square
        else:
            self.exact += sums[0]
            self.rounded += sums[1]
            self.square += square
        self.rows += x.shape[1]

    @property
    def mean_exact(self) -> Array:
        """The mean row before quantization, ``(groups, depth)``."""
        return np.asarray(self.exact / self.rows)

    @property
    def mean(self) -> Array:
        """The mean row as the int8 kernel sees it, ``(groups, depth)``."""
        return np.asarray(self.rounded / self.rows)

    @property
    def variance(self) -> Array:
        """The variance of each value of a row, ``(groups, depth)``."""
        square = self.square
        if square.ndim == 3:
            square = np.diagonal(square, axis1=1, axis2=2)
        return np.asarray(np.maximum(square / self.rows - self.mean**2, 0.0))

    def covariance(self, group: int) -> Array | None:
        """Return ``(depth, depth)`` in float64, or None where it was not collected."""
        if self.square.ndim != 3:
            return None
        mean = self.mean[group]
        return np.asarray(self.square[group].astype(np.float64) / self.rows - np.outer(mean, mean))


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
    """Yield the moments of each layer in ``inputs``, a few layers at a time.

    Args:
        model: fp32 graph with one image input.
        inputs: by layer, how it reads its input.
        batches: calibration images, float32 ``(N, C, H, W)``; iterated once per group of layers.
        images: how many they are.
        covariance: whether to collect it; else means and variances only.
        threads: of the runner; 0 means the physical cores allowed here.
        progress: called after every batch.
    """
    groups = list(_affordable(inputs, covariance=covariance))
    for number, layers in enumerate(groups):
        found = {name: Moments() for name in layers}
        tensors = list(dict.fromkeys(inputs[name].tensor for name in layers))
        rows_per_image = {
            name: max(1, -(-max(_ENOUGH_ROWS, 4 * inputs[name].depth) // images)) for name in layers
        }
        done = number * images
        for count, values in _traced(model, tensors, batches, threads):
            for name in layers:
                one = inputs[name]
                rows = _spread(one.rows(values[one.tensor]), rows_per_image[name] * count)
                wanted = covariance and one.depth <= LARGEST_DEPTH
                found[name].add(rows, one.codes.rounded(rows), covariance=wanted)
            done += count
            progress("weighing layers", done, images * len(groups))
        yield from found.items()


def _spread(rows: Array, most: int) -> Array:
    """Return about ``most`` of the rows, evenly spread."""
    count = rows.shape[1]
    if count <= most:
        return rows
    return np.ascontiguousarray(rows[:, np.arange(most) * count // most])


def _affordable(inputs: Mapping[str, LayerInput], *, covariance: bool) -> Iterator[list[str]]:
    """Yield groups of layers whose covariance matrices fit into ``_MEMORY`` together."""
    group: list[str] = []
    used = 0.0
    for name, one in inputs.items():
        matrix = covariance and one.depth <= LARGEST_DEPTH
        size = 4.0 * one.groups * one.depth * (one.depth if matrix else 1)
        if group and used + size > _MEMORY:
            yield group
            group, used = [], 0.0
        group.append(name)
        used += size
    if group:
        yield group


def _traced(
    model: onnx.ModelProto, tensors: Sequence[str], batches: Iterable[Array], threads: int
) -> Iterator[tuple[int, dict[str, Array]]]:
    """Yield the number of images and the values of ``tensors``, batch by batch."""
    source = model.graph.input[0].name
    names = [name for name in tensors if name != source]
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    add_outputs(exposed, names, "the model")
    session = open_session(exposed.SerializeToString(), SessionSpec(threads=threads, spin=False))
    del exposed
    fixed = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value
    for batch in batches:
        size = fixed or len(batch)
        for start in range(0, len(batch) - len(batch) % size, size):
            piece = batch[start : start + size]
            values = dict(zip(names, session.run(names, {source: piece}), strict=True))
            yield len(piece), {source: piece, **values}
