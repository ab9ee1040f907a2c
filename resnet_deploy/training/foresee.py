"""What a training would do: a few images run, all that can be is refused, and nothing written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
import torch.nn.functional as F

from resnet_deploy.artifact.claim import Claim
from resnet_deploy.progress import Progress, phase, silent
from resnet_deploy.results import Environment
from resnet_deploy.results.preview import PlannedFile, PlannedPhase, Preview, between, whole
from resnet_deploy.results.training import Epoch, TrainingResult
from resnet_deploy.runners.cpu import default_threads
from resnet_deploy.spec.train_request import TrainRequest
from resnet_deploy.spec.training import Precision
from resnet_deploy.training.data import MEMORY
from resnet_deploy.training.distributed import crew_of_environment
from resnet_deploy.training.folder import (
    BEST_FILE,
    LAST_FILE,
    METRICS_FILE,
    RUN_FILE,
    check_run_folder,
)
from resnet_deploy.training.loop import Training
from resnet_deploy.training.outcome import export_command
from resnet_deploy.training.preparing import prepare
from resnet_deploy.training.recipe import to_values
from resnet_deploy.training.run import Run
from resnet_deploy.weights.weights_file import MODEL_FILE

_PROBED = 8
"""Images of a batch that is trained on twice: whole batches of large nets take minutes."""

_AROUND = (0.6, 1.8)
"""How far an estimate from a few images is off: larger batches are faster, reading waits."""

_QAT = (2.0, 6.0)
"""How many times as long a step through the rounding of int8 is taken to last; not measured."""

_LIBRARIES_BYTES = (350e6, 800e6)
"""PyTorch with nothing loaded: a part of what was recorded for exports."""

_COPIES_OF_WEIGHTS = (4.0, 9.0)
"""Weights, gradients, momentum and what is copied for a checkpoint; a moving average."""

_COPIES_OF_VALUES = (1.0, 2.0)
_METRICS_BYTES = (1_000, 5_000_000)


@dataclass(frozen=True)
class _Step:
    """Seconds that an image takes to be decoded, to be trained on and to be tested, measured.

    ``kept`` is the bytes that a forward pass keeps of an image for the backward pass.
    """

    decoded: float
    trained: float
    tested: float
    kept: float


def foresee(
    request: TrainRequest,
    environment: Environment,
    *,
    progress: Progress = silent,
    on_epoch: Callable[[Epoch, int], None] | None = None,
) -> TrainingResult:
    """Return what ``train`` would do with the same arguments, as the ``preview`` of no epochs.

    ``on_epoch`` is not called.

    Raises:
        ResnetDeployError: ``train`` would refuse it before its first step; images are not decoded,
            so a damaged one is not found.
    """
    with (
        crew_of_environment() as crew,
        torch.random.fork_rng(devices=[]),
        Claim(request.out) as claim,
    ):
        torch.set_num_threads(request.threads or max(1, default_threads() // crew.local))
        torch.manual_seed(request.seed)
        if crew.leads:
            claim.take_if_there()
        check_run_folder(request)
        training = prepare(request, crew, progress, dry_run=True)
        run = Run(request=request, training=training, progress=progress, claim=claim)
        # Quantization-aware training has other tensors than the network, which stands in for it.
        if request.resume and run.last.exists() and not request.qat:
            run.restore()
        with phase(progress, "timing a step"):
            step = _timed(training)
        data, spec = training.data, training.trainable.spec
        return TrainingResult(
            model=spec.name,
            recipe=to_values(training.recipe),
            data=data.name,
            classes=data.classes,
            train_images=len(data.train),
            test_images=len(data.test),
            parameters=sum(p.numel() for p in training.trainable.module.parameters()),
            epochs=(),
            files={},
            export=export_command(request, request.out / MODEL_FILE),
            notices=tuple(training.trainable.notices),
            environment=environment,
            processes=crew.world,
            threads=torch.get_num_threads(),
            precision=training.precision.value,
            leads=crew.leads,
            preview=_preview(request, training, step, tuple(run.notices)),
        )


def _timed(training: Training) -> _Step:
    """Decode a few images, and train on a batch of them twice; the weights are not kept."""
    train, network = training.data.train, training.network
    few = range(min(_PROBED, len(train), training.recipe.batch_size))
    begin = time.perf_counter()
    for index in few:
        train.evaluated(index)
    decoded = (time.perf_counter() - begin) / len(few)
    images = torch.randn(
        len(few), train.preprocess.channels, train.preprocess.height, train.preprocess.width
    )
    labels = torch.zeros(len(few), dtype=torch.long)
    bfloat16 = training.precision is Precision.BFLOAT16
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    def step() -> float:
        start = time.perf_counter()
        with (
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
            torch.autocast("cpu", torch.bfloat16, enabled=bfloat16),
        ):
            logits = network(images)
        F.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        return time.perf_counter() - start

    step()  # the first one allocates
    kept.clear()
    trained = step() / len(few)
    network.zero_grad()
    network.eval()
    begin = time.perf_counter()
    with torch.no_grad():
        network(images)
    tested = (time.perf_counter() - begin) / len(few)
    return _Step(decoded, trained, tested, sum(kept.values()) / len(few))


def _preview(
    request: TrainRequest, training: Training, step: _Step, notices: tuple[str, ...]
) -> Preview:
    weights = 4 * sum(p.numel() for p in training.trainable.module.state_dict().values())
    count = len(training.data.train) + len(training.data.test)
    decoded = count * training.data.train.preprocess.values
    in_memory = decoded <= MEMORY
    batch = training.recipe.batch_size // training.crew.world
    spans = (
        _LIBRARIES_BYTES,
        between(weights, _COPIES_OF_WEIGHTS),
        between(step.kept * batch, _COPIES_OF_VALUES),
        between(decoded, (1.0, 1.1)) if in_memory else (0.0, 0.0),
    )
    return Preview(
        files=tuple(_files(request.out, weights)),
        phases=tuple(_phases(request, training, step, in_memory=in_memory)),
        memory_bytes=whole((sum(span[0] for span in spans), sum(span[1] for span in spans))),
        memory_basis=f"{weights / 1e6:,.0f} MB of weights, {step.kept / 1e6:,.1f} MB kept of each "
        f"image in a batch of {batch}, {decoded / 1e6 if in_memory else 0:,.0f} MB of images",
        available_bytes=psutil.virtual_memory().available,
        notices=(*training.trainable.notices, *notices),
    )


def _files(out: Path, weights: int) -> Iterator[PlannedFile]:
    for name, size in (
        (RUN_FILE, (500, 20_000)),
        (METRICS_FILE, _METRICS_BYTES),
        (LAST_FILE, whole(between(weights, (3.0, 7.0)))),
        (MODEL_FILE, whole(between(weights, (0.98, 1.05)))),
        (BEST_FILE, (0, round(1.05 * weights))),
    ):
        yield PlannedFile(path=str(out / name), bytes=size, replaces=(out / name).exists())


def _phases(
    request: TrainRequest, training: Training, step: _Step, *, in_memory: bool
) -> Iterator[PlannedPhase]:
    recipe, world = training.recipe, training.crew.world
    count = len(training.data.train) + len(training.data.test)
    if in_memory:
        yield PlannedPhase(
            name="decoding",
            seconds=between(count * step.decoded, (0.3, 1.5)),
            basis=f"{count:,} images, {1e3 * step.decoded:.3g} ms each, measured",
        )
    left = recipe.epochs * training.steps_per_epoch - training.steps
    images = left * recipe.batch_size / world
    seconds = between(images * step.trained, _AROUND)
    if not in_memory:  # images are read by threads while others are trained on
        seconds = (
            max(seconds[0], images * step.decoded / torch.get_num_threads()),
            seconds[1] + images * step.decoded,
        )
    basis = f"{1e3 * step.trained:.3g} ms an image, measured"
    if request.qat:
        seconds = seconds[0] * _QAT[0], seconds[1] * _QAT[1]
        basis += f"; --qat is taken to be {_QAT[0]:g} to {_QAT[1]:g} times as long"
    yield PlannedPhase(
        name=f"training {left:,} steps of {recipe.batch_size} images", seconds=seconds, basis=basis
    )
    epochs = recipe.epochs - training.position.epoch
    tested = epochs * len(training.data.test) / world
    yield PlannedPhase(
        name=f"testing after each of {epochs} epochs",
        seconds=between(tested * step.tested, _AROUND),
        basis=f"{len(training.data.test):,} images, {1e3 * step.tested:.3g} ms each, measured",
    )
