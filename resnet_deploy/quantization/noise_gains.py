"""How much of the noise of each tensor reaches the outputs, measured.

The first tensors of a net are read by everything behind them, and what rounding does to them is
amplified on its way: in ResNet-20, a hundred times as much of the same noise reaches the logits
from the first ReLU as from the last blocks. One tensor at a time is rounded, all else stays in
float. That needs nothing but inference, so it works for whatever ONNX Runtime can run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import onnx

from resnet_deploy.arrays import Array
from resnet_deploy.progress import Progress
from resnet_deploy.quantization.observers import pieces
from resnet_deploy.runners.ort_runner import open_session
from resnet_deploy.spec import SessionSpec

_ENOUGH_IMAGES = 16
"""Every tensor costs a run on them; each has many values, so that few images tell enough."""

_WHICH = "resnet_deploy.rounded"
"""The input that says which tensor is rounded, by its number."""


def noise_at_outputs(
    model: onnx.ModelProto,
    steps: Mapping[str, float],
    batches: Iterable[Array],
    images: int,
    threads: int,
    progress: Progress,
) -> tuple[dict[str, float], dict[str, float]]:
    """Return what rounding a tensor does to the outputs of ``model``, and their signal, by name.

    ``steps`` are those of the tensors, which nodes of ``model`` compute. Noise is relative: the
    mean square error per image, over the mean square of the output, summed up over outputs. The
    signal of an output is this mean square per image, summed over its values.
    """
    outputs = [output.name for output in model.graph.output]
    source = model.graph.input[0].name
    fixed = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value
    with _rounding(model, steps):
        serialized = model.SerializeToString(deterministic=True)
    session = open_session(serialized, SessionSpec(threads=threads, spin=False))
    errors = np.zeros((len(steps), len(outputs)))
    signal = np.zeros(len(outputs))
    done = 0
    for batch in _first(batches, _ENOUGH_IMAGES):
        for piece, count in pieces(batch, fixed or len(batch)):

            def run(number: int, piece: Array = piece, count: int = count) -> list[Array]:
                feeds = {source: piece, _WHICH: np.array(number, np.int64)}
                return [x[:count].astype(np.float64) for x in session.run(outputs, feeds)]

            exact = run(-1)
            signal += [np.square(x).sum() for x in exact]
            for number in range(len(steps)):
                found = zip(run(number), exact, strict=True)
                errors[number] += [np.square(x - y).sum() for x, y in found]
                rounded = done * len(steps) + (number + 1) * count
                progress("rounding tensors", rounded, min(images, _ENOUGH_IMAGES) * len(steps))
            done += count
    shares = np.divide(errors, signal, out=np.zeros_like(errors), where=signal > 0)
    noise = dict(zip(steps, shares.sum(axis=1).tolist(), strict=True))
    return noise, dict(zip(outputs, (signal / max(done, 1)).tolist(), strict=True))


def _first(batches: Iterable[Array], images: int) -> Iterator[Array]:
    """Yield the first so many images."""
    for batch in batches:
        yield batch[:images]
        images -= len(batch)
        if images <= 0:
            return


@contextmanager
def _rounding(model: onnx.ModelProto, steps: Mapping[str, float]) -> Iterator[None]:
    """Let ``model`` round the tensor whose number its second input says.

    In place and back, because a copy of the weights would count in the peak memory.
    """
    graph = model.graph
    nodes, constants = list(graph.node), len(graph.initializer)
    written = [list(node.output) for node in nodes]
    numbers = {name: number for number, name in enumerate(steps)}
    order = []
    for node in nodes:
        order.append(node)
        for place, name in enumerate(node.output):
            if name in numbers:
                node.output[place] = _exact(name)
                order += _rounded(name)
                graph.initializer.append(_constant(f"{name}.step", np.float32(steps[name])))
                graph.initializer.append(_constant(f"{name}.number", np.int64(numbers[name])))
    graph.input.append(onnx.helper.make_tensor_value_info(_WHICH, onnx.TensorProto.INT64, []))
    del graph.node[:]
    graph.node.extend(order)
    try:
        yield
    finally:
        for node, names in zip(nodes, written, strict=True):
            node.output[:] = names
        del graph.node[:]
        graph.node.extend(nodes)
        del graph.initializer[constants:]
        del graph.input[-1:]


def _exact(name: str) -> str:
    return f"{name}.exact"


def _constant(name: str, value: np.generic) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(np.asarray(value), name)


def _rounded(name: str) -> list[onnx.NodeProto]:
    """Return what computes the tensor ``name`` from its exact values: rounded if it is its turn."""
    make, exact = onnx.helper.make_node, _exact(name)
    return [
        make("Div", [exact, f"{name}.step"], [f"{name}.steps"]),
        make("Round", [f"{name}.steps"], [f"{name}.whole"]),
        make("Mul", [f"{name}.whole", f"{name}.step"], [f"{name}.rounded"]),
        make("Equal", [_WHICH, f"{name}.number"], [f"{name}.turn"]),
        make("Where", [f"{name}.turn", f"{name}.rounded", exact], [name]),
    ]
