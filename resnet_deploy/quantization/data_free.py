"""What the tensors of a graph hold, from BatchNorm statistics alone: no image is looked at.

The mean and the spread of each convolution's output are known (:class:`ChannelStatistics`). Each
tensor is stood for by some thousand samples per channel. A convolution's are drawn; every other
operator computes its samples from those of its inputs. Sample i of all tensors belongs to
the same place of the same image.

Two properties of real activations decide how long the tails are, and with them the ranges:

- Places differ in contrast, and where it is strong it is so in all channels and layers. So sample i
  has one strength in all convolutions, whose square is the mean of two exponentially distributed
  values. Normal noise times this strength is distributed like the sum of two Laplace-distributed
  values. Its excess kurtosis is 1.5; that of ResNet-20's convolutions is 0.4 to 4.4, 1.8 on
  average. The short tails of a normal distribution cost 5 dB.
- Within one place, channels and layers are independent. This makes the terms of a residual sum
  uncorrelated, which they nearly are: in each of ResNet-20's nine sums, the correlation of the
  median channel is between -0.12 and 0.14.

Source of the idea: Nagel et al., "Data-Free Quantization" (arXiv:1906.04721), section 4.2.1, which
takes normal distributions and means only. ``bench/data_free.py`` compares the outcome with images.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.graph.constants import constant, ints, optional_input
from resnet_deploy.graph.layers import LAYOUT_KEY
from resnet_deploy.graph.module_names import torch_module
from resnet_deploy.models.batchnorm_statistics import ChannelStatistics
from resnet_deploy.passes.zero_pad_shortcut import COPIES_KEY
from resnet_deploy.quantization.histogram import Histogram
from resnet_deploy.quantization.kernels import is_depthwise
from resnet_deploy.quantization.moments import LayerInput, Moments
from resnet_deploy.quantization.plan import WEIGHTED, Plan

Samples = NDArray[np.float32]
"""``(C, SAMPLES)``; a flattened tensor keeps its channels."""

SAMPLES = 4096
"""Per channel; four times as many are no better."""

_MOST_VALUES = 2**24
"""In the rows of one layer, whatever their depth: 64 MB."""

_INDEPENDENT = 4
"""How many independent values the pixels under a pooling window are worth: they are much alike.

The means over 8x8 pixels at the end of ResNet-20 spread 0.46 times as far as the pixels, which is
what the mean of 4.7 independent values would do.
"""


def expected_histograms(
    graph: ir.Model, plan: Plan, statistics: Mapping[str, ChannelStatistics]
) -> dict[str, Histogram]:
    """Return a histogram of every tensor in ``plan.ranged`` of the fp32 ``graph``, by name.

    The graph's input and what is computed from it without a convolution or linear layer are
    missing: they follow from the preprocessing.
    ``statistics`` describe by torch module the output of each convolution with its BatchNorm.

    Raises:
        UnsupportedGraphError: a tensor can't be derived from ``statistics``.
    """
    histograms = {}
    for value, samples in _expected(graph, plan.ranged, statistics):
        histogram = histograms[str(value.name)] = Histogram()
        histogram.add(samples, str(value.name))
    return histograms


def expected_moments(
    graph: ir.Model,
    plan: Plan,
    statistics: Mapping[str, ChannelStatistics],
    inputs: Mapping[str, LayerInput],
) -> Iterator[tuple[str, Moments]]:
    """Yield the moments of what each layer in ``inputs`` reads, without covariances.

    They correct the mean of a layer's output for the rounding of its weights. What they don't
    know is the padding: every tap of a kernel gets the moments of its channel. The layers that
    read the image are missing. Other arguments and errors are those of
    :func:`expected_histograms`.
    """
    readers: dict[str, list[str]] = {}
    for name, layer in inputs.items():
        readers.setdefault(layer.tensor, []).append(name)
    wanted = [value for value in plan.tensors if value.name in readers]
    for value, samples in _expected(graph, wanted, statistics):
        for name in readers[str(value.name)]:
            layer = inputs[name]
            most = _MOST_VALUES // (layer.groups * layer.depth)
            rows = _rows(samples[:, : max(1, most)], layer)
            moments = Moments(covariance=False)
            moments.add(rows, layer.parameters.rounded(rows))
            yield name, moments


def _rows(samples: Samples, layer: LayerInput) -> Samples:
    """Return ``samples`` as im2col rows ``(groups, R, depth)``, each channel under all its taps."""
    taps = layer.groups * layer.depth // len(samples)
    grouped = np.repeat(samples.T, taps, axis=1).reshape(-1, layer.groups, layer.depth)
    return np.ascontiguousarray(grouped.transpose(1, 0, 2))


def _expected(
    model: ir.Model, wanted: Iterable[ir.Value], statistics: Mapping[str, ChannelStatistics]
) -> Iterator[tuple[ir.Value, Samples]]:
    """Yield the samples of the ``wanted`` values, in graph order."""
    wanted = set(wanted)
    needed = _needed(wanted, statistics)
    consumers = Counter(value for node in needed for value in node.inputs if value is not None)
    random = np.random.default_rng(0)
    strength = random.permutation(_strengths())
    known: dict[ir.Value, Samples] = {}
    for node in model.graph:
        if node not in needed:
            continue
        output = node.outputs[0]
        layer = _statistics_of(node, statistics)
        if layer is None:
            samples = _derived(node, known)
        else:
            noise = random.standard_normal((len(layer.mean), SAMPLES))
            samples = _drawn(layer, strength * noise)
        if samples is not None:
            if output in wanted:
                yield output, samples
            if consumers[output]:
                known[output] = samples
        for value in node.inputs:
            if value is not None:
                consumers[value] -= 1
                if not consumers[value]:  # the samples of a whole network would fill the memory
                    known.pop(value, None)


def _strengths() -> NDArray[np.float64]:
    """Return ``(SAMPLES,)`` strengths with a mean square of 1, ascending.

    Their squares are quantiles: drawn values would leave the tails to chance.
    """
    total = np.linspace(0, 30, 2**16)  # of two exponentially distributed values
    share = 1 - (1 + total) * np.exp(-total)
    squares = np.interp((np.arange(SAMPLES) + 0.5) / SAMPLES, share, total)
    return np.asarray(np.sqrt(squares / squares.mean()))


def _needed(values: set[ir.Value], statistics: Mapping[str, ChannelStatistics]) -> set[ir.Node]:
    """Return the nodes that ``values`` are computed by, back to layers with statistics."""
    needed: set[ir.Node] = set()
    waiting = list(values)
    while waiting:
        node = waiting.pop().producer()
        if node is None or node in needed:
            continue
        needed.add(node)
        if _statistics_of(node, statistics) is None:
            waiting.extend(value for value in node.inputs if value is not None)
    return needed


def _statistics_of(
    node: ir.Node, statistics: Mapping[str, ChannelStatistics]
) -> ChannelStatistics | None:
    if node.op_type not in WEIGHTED or COPIES_KEY in node.metadata_props:
        return None
    return statistics.get(torch_module(node) or "")


def _drawn(layer: ChannelStatistics, noise: NDArray[np.float64]) -> Samples:
    """Return ``noise`` shifted and scaled so that mean and deviation are exactly those known."""
    noise -= noise.mean(axis=1, keepdims=True)
    noise *= (layer.std / noise.std(axis=1))[:, None]
    return (layer.mean[:, None] + noise).astype(np.float32)


def _derived(node: ir.Node, known: Mapping[ir.Value, Samples]) -> Samples | None:
    """Return what ``node`` makes of its inputs, or None if they are the image.

    Raises:
        UnsupportedGraphError: nothing is known about an input, or the operator is none of those
            whose values can be derived.
    """
    activations = [value for value in node.inputs if value is not None and constant(value) is None]
    if not _is_computed(node):
        raise UnsupportedGraphError(
            f"{node.name} has no trained BatchNorm behind it, so its range can't be known without "
            "images: use --calibration DIR"
        )
    if not any(value in known for value in activations):
        return None
    operator = _OPERATORS.get(node.op_type)
    if operator is not None and all(value in known for value in activations):
        result = operator(node, [known[value] for value in activations])
        if result is not None:
            return result
    raise UnsupportedGraphError(
        f"the values of {node.name} ({node.op_type}) can't be derived from BatchNorm "
        "statistics: use --calibration DIR"
    )


def _is_computed(node: ir.Node) -> bool:
    """Whether the weights of ``node`` tell enough: each channel comes from itself alone, if any.

    More than one pixel must count with one sign: a difference of pixels depends on how alike they
    are.
    """
    if node.op_type not in WEIGHTED or COPIES_KEY in node.metadata_props:
        return True
    weight = constant(optional_input(node, 1))
    if weight is None or weight.ndim != 4 or not is_depthwise(node, weight):
        return False
    return weight.shape[2:] == (1, 1) or bool((weight >= 0).all())


def _clip(node: ir.Node, inputs: list[Samples]) -> Samples:
    low, high = (constant(node.inputs[i]) if i < len(node.inputs) else None for i in (1, 2))
    if low is not None:
        inputs = [np.maximum(inputs[0], low)]
    return inputs[0] if high is None else np.minimum(inputs[0], high)


def _binary(node: ir.Node, inputs: list[Samples]) -> Samples | None:
    """Add or multiply two activations, or one and a constant (one number, or one per channel)."""
    if len(inputs) == 1:
        channels = len(inputs[0])
        by = [array for value in node.inputs if (array := constant(value)) is not None]
        if len(by) != 1 or by[0].size not in (1, channels):
            return None
        inputs = [inputs[0], by[0].reshape(-1, 1)]
    return np.asarray(np.add(*inputs) if node.op_type == "Add" else np.multiply(*inputs))


def _concat(node: ir.Node, inputs: list[Samples]) -> Samples | None:
    if node.attributes["axis"].as_int() in (1, -3):
        return np.concatenate(inputs)
    return inputs[0] if all(samples is inputs[0] for samples in inputs) else None


def _cut(node: ir.Node, inputs: list[Samples]) -> Samples | None:
    """Rows and columns of an image are distributed as the image is."""
    axes = constant(optional_input(node, 3))
    return inputs[0] if axes is not None and set(axes.ravel()) <= {2, 3} else None


def _convolved(node: ir.Node, inputs: list[Samples]) -> Samples | None:
    """Copy channels, or filter each: a mean, a blur, a BatchNorm with no layer in front."""
    weight, bias = constant(node.inputs[1]), constant(optional_input(node, 2))
    assert weight is not None, "the plan takes nodes with constant weights only"
    if COPIES_KEY in node.metadata_props:
        return np.asarray(weight[:, :, 0, 0] @ inputs[0])
    if len(weight) != len(inputs[0]):
        return None
    taps = weight.reshape(len(weight), -1)
    result = np.zeros_like(inputs[0])
    for place, factors in enumerate(taps.T):
        image = place % _INDEPENDENT * SAMPLES // _INDEPENDENT
        result += factors[:, None] * np.roll(inputs[0], image, axis=1)
    return result if bias is None else result + bias.astype(np.float32)[:, None]


def _leaky(node: ir.Node, inputs: list[Samples]) -> Samples:
    slope = node.attributes.get_float("alpha", 0.01)
    return np.asarray(np.where(inputs[0] < 0, slope * inputs[0], inputs[0]), np.float32)


def _pooled(node: ir.Node, inputs: list[Samples]) -> Samples:
    """Pool the samples of as many independent images as the window of ``node`` is worth."""
    pixels = math.prod(ints(node, "kernel_shape", (_INDEPENDENT,)))
    window = [
        np.roll(inputs[0], place * SAMPLES // _INDEPENDENT, axis=1)
        for place in range(min(pixels, _INDEPENDENT))
    ]
    return np.asarray(
        np.max(window, axis=0) if node.op_type == "MaxPool" else np.mean(window, axis=0)
    )


def _same_memory(node: ir.Node, inputs: list[Samples]) -> Samples | None:
    return inputs[0] if LAYOUT_KEY in node.metadata_props else None


_OPERATORS: dict[str, Callable[[ir.Node, list[Samples]], Samples | None]] = {
    "Add": _binary,
    "AveragePool": _pooled,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _convolved,
    "Flatten": lambda _, inputs: inputs[0],
    "GlobalAveragePool": _pooled,
    "LeakyRelu": _leaky,
    "MaxPool": _pooled,
    "Mul": _binary,
    "Relu": lambda _, inputs: np.maximum(inputs[0], 0),
    "Reshape": _same_memory,
    "Sigmoid": lambda _, inputs: (1 / (1 + np.exp(-inputs[0].astype("d")))).astype(np.float32),
    "Slice": _cut,
    "Transpose": _same_memory,
}
"""What is computed from samples; None where the operator's attributes rule it out."""
