"""What a deployment would do: all that can be refused is, a few images run, and nothing is written.

How long an image takes is measured here. How many such runs a phase is worth was recorded, and so
was what the libraries take: see the constants. Those of the witness and of ``best`` are assumed.

A little long: each constant stands beside the phase that it is of.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from onnx import ModelProto

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.model_file import bytes_of, read_model
from resnet_deploy.data.datasets import Data
from resnet_deploy.deployment.hearing import Heard, may_know
from resnet_deploy.deployment.plan import Plan, make_plan
from resnet_deploy.deployment.source import check_source
from resnet_deploy.graph.skeleton import infer_shapes
from resnet_deploy.models.network import Network
from resnet_deploy.progress import Progress, phase, silent
from resnet_deploy.results import Deployment, Environment
from resnet_deploy.results.preview import PlannedFile, PlannedPhase, Preview, between, whole
from resnet_deploy.spec import Effort
from resnet_deploy.spec.deploy import DeploySpec
from resnet_deploy.verification import BATCH_SIZES, MOST_IMAGES, right_outputs

_EXPORTER_SECONDS = (4.0, 15.0)
"""What PyTorch's exporter imports and warms up, whatever it traces."""

_LAYER_SECONDS = (0.1, 0.5)
"""Tracing, cleaning and simplifying, for each layer with weights."""

_WITNESS_SECONDS = (5.0, 120.0)

_RUNS_TO_CALIBRATE = (0.5, 8.0)
"""How many runs of an image it is worth to collect the values of all layers, and to weigh them."""

_RUNS_TO_CALIBRATE_BEST = (5.0, 100.0)
"""The same where tensors are rounded one at a time, and covariances are collected."""

_ROUNDING_SECONDS = (0.1, 4.0)
"""For each million weights."""

_ROUNDING_SECONDS_BEST = (2.0, 20.0)
"""The same with covariances."""

_PROOF = (0.15, 2.0)
"""What a run of the comparison takes of one in PyTorch, batch by batch; half of them are of it."""

_TIMING_SECONDS = (2.0, 30.0)

_LIBRARIES_BYTES = (450e6, 900e6)
"""PyTorch, ONNX and ONNX Runtime, with nothing loaded."""

_COPIES_OF_WEIGHTS = (3.0, 9.0)
_COPIES_OF_ACTIVATIONS = (1.0, 5.0)
_INT8_SHARE = (0.25, 0.32)
"""Of an int8 file's size in the fp32 one's."""

_BEST_BYTES = 320e6
"""What covariances may take: see ``quantization.moments``."""

_PROBED = 4
_RUNS = 3
_RECORDED = "recorded"
_ASSUMED = "assumed"

MEANING = (
    "measured: on a few images, here and now; recorded: on two cores of a Xeon with AVX-512, for "
    "ResNet-20, -34 and -50; assumed: a wide guess"
)
"""What the words of a basis mean."""


@dataclass(frozen=True)
class Measured:
    """Seconds that an image takes to be read and prepared, and to be run in fp32, measured here.

    ``weights`` and ``activations``, of one image, are in bytes of float32.
    """

    prepared: float
    run: float
    weights: int
    activations: int


def foresee(
    source: Network | Artifact,
    spec: DeploySpec,
    *,
    calibration: Data | None = None,
    data: Data | None = None,
    environment: Environment,
    progress: Progress = silent,
) -> Deployment:
    """Return what ``deploy`` would do with the same arguments, as the ``preview`` of nothing done.

    Raises:
        ResnetDeployError: ``deploy`` would refuse it before its work.
    """
    begin = time.perf_counter()
    if isinstance(source, Artifact):
        check_source(source)
    asked = spec.witness and calibration is not None and may_know(source)
    plan = make_plan(
        Heard(source=source), spec, calibration=calibration, data=data, environment=environment
    )
    with phase(progress, "timing an image"):
        costs = _probed(plan)
    least, most = _memory(plan, costs)
    available = psutil.virtual_memory().available
    notices = [*plan.notices, MEANING]
    if least > available:
        notices.append("there is less memory here than that: the run may be stopped by the system")
    if spec.quant.cluster is not None:
        notices.append("the times are those of this machine alone: the cluster was not asked")
    if spec.sensitivity or spec.budget is not None:
        notices.append(
            "layers are ranked or kept in float after that: several times as long, as many as the "
            "net has layers"
        )
    return Deployment(
        files={},
        sha256={},
        parity={},
        inspection=None,
        allowed_float_ops=spec.allow_float_ops,
        notices=tuple(notices),
        seconds=time.perf_counter() - begin,
        environment=environment,
        preprocess=plan.images.preprocess,
        preview=Preview(
            files=tuple(_files(plan, costs)),
            phases=tuple(_phases(plan, costs, asked=asked)),
            memory_bytes=(least, most),
            memory_basis=memory_basis(costs),
            available_bytes=available,
            notices=tuple(notices),
        ),
    )


def memory_basis(costs: Measured) -> str:
    """Return what an estimate of memory is made of."""
    return (
        f"{costs.weights / 1e6:,.0f} MB of weights, {costs.activations / 1e6:,.0f} MB of "
        f"activations per image, and the libraries, {_RECORDED}"
    )


def file_bytes(path: Path) -> tuple[int, bool]:
    """Return the size of the file at ``path``, 0 where none is, and whether one is."""
    return (path.stat().st_size, True) if path.exists() else (0, False)


def int8_bytes(weights: float) -> tuple[int, int]:
    """Return about how large an int8 file of so many bytes of float32 weights is."""
    least, most = between(weights, _INT8_SHARE)
    return round(least), round(most) + 100_000


def activation_bytes(model: ModelProto) -> int:
    """Return the bytes of all tensors that ``model`` computes for one image, in float32.

    What shapes don't tell counts as one value.
    """
    infer_shapes(model)
    shapes = (value.type.tensor_type.shape.dim for value in model.graph.value_info)
    return 4 * sum(math.prod(dim.dim_value or 1 for dim in shape) for shape in shapes)


def calibration_memory(costs: Measured, batch_size: int, *, best: bool) -> tuple[int, int]:
    """Return the peak memory, in bytes, of a calibration in batches of ``batch_size``."""
    spans = (
        _LIBRARIES_BYTES,
        between(costs.weights, _COPIES_OF_WEIGHTS),
        between(costs.activations * batch_size, _COPIES_OF_ACTIVATIONS),
        between(_BEST_BYTES, (0.5, 2.0)) if best else (0.0, 0.0),
    )
    return whole((sum(span[0] for span in spans), sum(span[1] for span in spans)))


def _probed(plan: Plan) -> Measured:
    """Prepare and run a few images twice."""
    few = replace(plan.images, indices=plan.images.indices[: 2 * _PROBED], batch_size=_PROBED)
    batches = iter(few)
    opening = time.perf_counter()
    first = next(batches)  # opens what there is to open
    opened = time.perf_counter()
    others = sum(map(len, batches))
    seconds = time.perf_counter() - opened if others else opened - opening
    prepared = seconds / (others or len(first))
    if isinstance(plan.source, Artifact):
        model = read_model(plan.source.plain)
        weights, activations = bytes_of(plan.source.plain), activation_bytes(model)
        right_outputs(few.preprocess, plan.reference, first)  # the first run allocates
    else:
        weights = 4 * sum(tensor.numel() for tensor in plan.source.module.state_dict().values())
        activations = _values_of(plan, first) // len(first)
    runs = []
    for part in range(2, 2 + _RUNS):  # other images: a reference may remember what it was asked
        images = (first / part).astype(first.dtype)
        begin = time.perf_counter()
        right_outputs(few.preprocess, plan.reference, images)
        runs.append(time.perf_counter() - begin)
    return Measured(prepared, min(runs) / len(first), weights, activations)


def _values_of(plan: Plan, images: Array) -> int:
    """Return the bytes of what all layers give for ``images``; it runs them once."""
    assert not isinstance(plan.source, Artifact), "an ONNX file has shapes"
    seen: list[int] = []

    def count(module: object, inputs: object, output: object) -> None:
        seen.append(int(getattr(output, "nbytes", 0)))

    module = plan.source.module
    leaves = [part for part in module.modules() if not list(part.children())]
    hooks = [leaf.register_forward_hook(count) for leaf in leaves]
    try:
        right_outputs(plan.images.preprocess, plan.reference, images)
    finally:
        for hook in hooks:
            hook.remove()
    return sum(seen)


def _memory(plan: Plan, costs: Measured) -> tuple[int, int]:
    best = plan.spec.int8 and plan.spec.quant.effort is Effort.BEST
    return calibration_memory(costs, plan.images.batch_size, best=best)


def _files(plan: Plan, costs: Measured) -> Iterator[PlannedFile]:
    for kind, path in plan.paths.items():
        size = {
            "fp32": whole(between(costs.weights, (0.97, 1.03))),
            "fp16": whole(between(costs.weights, (0.49, 0.53))),
            "int8": int8_bytes(costs.weights),
        }[kind]
        if kind != "int8":
            size = size[0], size[1] + 100_000
        yield PlannedFile(path=str(path), bytes=size, replaces=file_bytes(path)[1])


def _phases(plan: Plan, costs: Measured, *, asked: bool) -> Iterator[PlannedPhase]:
    spec, images = plan.spec, len(plan.images)
    run = f"{1e3 * costs.run:.3g} ms an image, measured"
    if asked:
        yield PlannedPhase(name="asking BatchNorm", seconds=_WITNESS_SECONDS, basis=_ASSUMED)
    if not isinstance(plan.source, Artifact):
        layers = sum(p.dim() > 1 for p in plan.source.module.parameters())
        yield PlannedPhase(
            name="tracing and simplifying",
            seconds=(
                _EXPORTER_SECONDS[0] + layers * _LAYER_SECONDS[0],
                _EXPORTER_SECONDS[1] + layers * _LAYER_SECONDS[1],
            ),
            basis=f"{layers} layers; {_RECORDED}",
        )
    files = len(plan.paths) if spec.verify else 0
    runs = sum(_compared_runs(plan, kind) for kind in plan.paths)
    if spec.int8:
        yield from calibration_phases(costs, images, best=spec.quant.effort is Effort.BEST)
    if files:
        yield PlannedPhase(
            name="comparing with the reference",
            seconds=between(runs * costs.run, _PROOF),
            basis=f"{files} files, {runs} runs in all, {run}",
        )
    if spec.int8 and spec.verify:
        yield PlannedPhase(
            name="timing int8 against fp32", seconds=_TIMING_SECONDS, basis=_RECORDED
        )


def _compared_runs(plan: Plan, kind: str) -> int:
    """Return how many images are run to compare a file: as ``verification`` has it."""
    few = sum(BATCH_SIZES)
    real = kind != "fp32" and plan.calibration is not None
    images = min(MOST_IMAGES, len(plan.images.dataset)) if real else few
    return 2 * few + 2 * images  # every batch size twice, and all by the file and its reference


def calibration_phases(costs: Measured, images: int, *, best: bool) -> Iterator[PlannedPhase]:
    """Yield how long it takes to calibrate on so many ``images``, and to round the weights."""
    runs = _RUNS_TO_CALIBRATE_BEST if best else _RUNS_TO_CALIBRATE
    known = _ASSUMED if best else _RECORDED
    least, most = between(images * costs.run, runs)
    reading = images * costs.prepared
    yield PlannedPhase(
        name="calibrating",
        seconds=(least + reading, most + 4 * reading),
        basis=f"{images} images, {1e3 * costs.prepared:.3g} ms to read, {1e3 * costs.run:.3g} to "
        f"run, measured; passes {known}",
    )
    millions = costs.weights / 4e6
    yield PlannedPhase(
        name="rounding weights",
        seconds=between(millions, _ROUNDING_SECONDS_BEST if best else _ROUNDING_SECONDS),
        basis=f"{millions:.1f} million weights; {known}",
    )
