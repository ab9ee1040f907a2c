"""Counts, on real activations, the sums that overflow int16 on x86 CPUs without VNNI.

First the codes alone: most layers have few pairs of weights that can overflow at all. Only these
are multiplied with the activations, which ONNX Runtime computes, batch by batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.errors import RunnerError
from resnet_deploy.graph.constants import constant
from resnet_deploy.graph.module_names import module_of
from resnet_deploy.progress import ImageStage, Progress, silent
from resnet_deploy.quantization.kernels import (
    INT16,
    can_overflow,
    group_of,
    is_depthwise,
    weight_pairs,
    windows_of,
)
from resnet_deploy.quantization.observers import pieces
from resnet_deploy.quantization.weights import channel_axis
from resnet_deploy.results import Environment, LayerSaturation, SaturationReport
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import SessionSpec

_PIXELS_AT_ONCE = 4 * 224 * 224
"""Of images whose u8 activations are in memory together, 4 to 12 MB per image of 224 pixels."""

_SUMS_AT_ONCE = 1 << 20


def count_saturation(
    path: Path,
    batches: Iterable[Array],
    *,
    data: str,
    images: int = 0,
    threads: int = 0,
    environment: Environment | None = None,
    progress: Progress = silent,
) -> SaturationReport:
    """Return how many sums of the int8 file at ``path`` overflow on x86 CPUs without VNNI.

    ``path`` is a QDQ file, ``batches`` are ``images`` preprocessed images of ``data``,
    ``(N, C, H, W)``. They are not read when no weights of the file can overflow.

    The activations are those of this CPU. On one without VNNI they are changed themselves behind
    the first overflow; whether there is any is the same on both.

    Raises:
        RunnerError: there are no int8 layers, or weights can overflow and there are no images.
    """
    graph = ir.from_proto(read_model(path)).graph
    layers = [found for node in graph if (found := _layer_of(node)) is not None]
    if not layers:
        raise RunnerError(f"{path} has no layers with s8 weights: give an int8 file in QDQ form")
    risky = [layer for layer in layers if len(layer.weights)]
    done = 0
    if risky:
        with closing(OrtRunner(path, SessionSpec(threads=threads, spin=False))) as runner:
            image = runner.input.name
            sources = [layer.source for layer in risky if layer.source != image]
            for batch in batches:
                most = max(1, _PIXELS_AT_ONCE // (batch[0].size // 3))
                for piece, count in pieces(batch, runner.input.shape[0] or min(most, len(batch))):
                    values = {image: piece, **runner.trace(piece, sources)}
                    for layer in risky:
                        layer.count(values[layer.source][:count])
                done += len(batch)
                progress(ImageStage("counting overflows"), done, images)
        if not done:
            raise RunnerError("there is nothing to count: give at least one image")
    return SaturationReport(
        model=str(path),
        data=data,
        images=done,
        layers=tuple(layer.result() for layer in layers),
        environment=environment,
    )


def sums_can_overflow(model: onnx.ModelProto) -> bool:
    """Return whether any image could make a sum of the int8 file ``model``, in QDQ form, overflow.

    That is on x86 CPUs without VNNI; see :mod:`resnet_deploy.quantization.kernels`.
    """
    layers = (_layer_of(node) for node in ir.from_proto(model).graph)
    return any(layer is not None and len(layer.weights) > 0 for layer in layers)


@dataclass(eq=False)
class _Layer:
    """A layer, its risky pairs of weights, and what was counted so far.

    ``shape`` is that of a convolution's weights; a linear layer is one over a single pixel.
    ``source`` is the tensor of activation codes. Of risky pair ``i``, ``weights[i]`` are the two
    codes, ``inputs[i]`` their input channels, ``taps[:, i]`` their places in the kernel by spatial
    axis, and ``channels[i]`` is the output channel.
    """

    node: ir.Node
    source: str
    zero_point: int
    shape: tuple[int, ...]
    pairs: int
    channels: NDArray[np.intp]
    inputs: NDArray[np.intp]
    taps: NDArray[np.intp]
    weights: NDArray[np.int32]
    overflows: int = 0
    outputs: int = 0
    touched: int = 0
    largest: int = 0

    def count(self, codes: Array) -> None:
        """Add what the activations ``codes`` do, ``(N, C, ...)`` or, for Gemm, ``(..., C)``."""
        if codes.dtype == np.int8:
            codes = codes.view(np.uint8) ^ np.uint8(0x80)  # as ONNX Runtime does before it fuses
        if self.node.op_type != "Conv":
            codes = codes.reshape(-1, codes.shape[-1], 1)
        spatial = codes.ndim - 2
        windows = windows_of(self.node, codes, self.shape[2:], self.zero_point)
        pixels = windows.size // int(np.prod(windows.shape[1:2] + self.shape[2:]))
        self.outputs += pixels * self.shape[0]

        # Both weights of a pair have one sign. The largest sum is 255 * 2 * 128: it fits into u16.
        steps = np.abs(self.weights).astype(np.uint16)
        negative = self.weights[:, 0] < 0
        peaks = codes.max(axis=(0, *range(2, codes.ndim)), initial=self.zero_point)
        parts = steps * peaks[self.inputs].astype(np.uint16)
        bound = parts[:, 0] + parts[:, 1]
        order = np.argsort(bound)[::-1]
        touched = np.zeros((self.shape[0], pixels), np.bool_)
        step = max(1, _SUMS_AT_ONCE // pixels)
        for start in range(0, len(order), step):
            chosen = order[start : start + step]
            if bound[chosen[0]] <= min(INT16.max, abs(self.largest)):
                break  # no sum from here on overflows, or is larger than the largest so far
            sums = np.zeros((len(chosen), pixels), np.uint16)
            for side in range(2):
                where = (slice(None), self.inputs[chosen, side], *[slice(None)] * spatial)
                values = windows[(*where, *self.taps[:, chosen, side])].reshape(sums.shape)
                sums += values * steps[chosen, side, None]
            highest = sums.max(axis=1)
            top = int(highest.argmax())
            if highest[top] > abs(self.largest):
                self.largest = int(highest[top]) * (-1 if negative[chosen[top]] else 1)
            limits = INT16.max + negative[chosen]
            for row in np.flatnonzero(highest > limits):
                over = sums[row] > limits[row]
                self.overflows += int(over.sum())
                touched[self.channels[chosen[row]]] |= over
        self.touched += int(touched.sum())

    def result(self) -> LayerSaturation:
        return LayerSaturation(
            name=module_of(self.node),
            weight_pairs=self.pairs * self.shape[0],
            risky=len(self.weights),
            sums=self.outputs * self.pairs,
            overflows=self.overflows,
            outputs=self.outputs,
            touched=self.touched,
            largest=self.largest,
        )


def _layer_of(node: ir.Node) -> _Layer | None:
    """Return ``node`` if it is a layer whose kernel adds up pairs of u8 times s8 products."""
    if node.op_type not in ("Conv", "Gemm", "MatMul"):
        return None
    activations, weights = (_dequantized(value) for value in node.inputs[:2])
    codes = None if weights is None else constant(weights.inputs[0])
    if activations is None or codes is None or codes.dtype != np.int8 or is_depthwise(node, codes):
        return None
    if channel_axis(node) == 1:
        codes = np.swapaxes(codes, 0, 1)
    if node.op_type != "Conv":
        codes = codes[..., None]
    source = activations.inputs[0]
    zero = constant(activations.inputs[2]) if len(activations.inputs) > 2 else None
    assert source is not None, f"{activations.name} has no input"

    pairs = weight_pairs(codes)
    channels, index = np.nonzero(can_overflow(pairs))
    places, inputs = np.divmod(2 * index[:, None] + np.arange(2), codes.shape[1])
    group = channels // (len(codes) // group_of(node))
    return _Layer(
        node=node,
        source=str(source.name),
        zero_point=0 if zero is None else int(zero) + (128 if zero.dtype == np.int8 else 0),
        shape=codes.shape,
        pairs=pairs.shape[1],
        channels=channels,
        inputs=inputs + group[:, None] * codes.shape[1],
        taps=np.stack(np.unravel_index(places, codes.shape[2:])),
        weights=pairs[channels, index].astype(np.int32),
    )


def _dequantized(value: ir.Value | None) -> ir.Node | None:
    """Return the DequantizeLinear that ``value`` comes from."""
    producer = None if value is None else value.producer()
    return producer if producer is not None and producer.op_type == "DequantizeLinear" else None
