"""A whole training: its folder, its checkpoints, and what it ends with."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from resnet_deploy.artifact.claim import Claim
from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.errors import CheckpointError, SpecError, one_line
from resnet_deploy.processes.interrupts import Interrupts
from resnet_deploy.progress import ImageStage, Progress, silent
from resnet_deploy.results import Environment
from resnet_deploy.results.training import Epoch, TrainingResult
from resnet_deploy.runners.cpu import default_threads
from resnet_deploy.spec.train_request import TrainRequest
from resnet_deploy.training.checkpoint import load_checkpoint, save_checkpoint
from resnet_deploy.training.distributed import Crew, crew_of_environment
from resnet_deploy.training.folder import (
    LAST_FILE,
    METRICS_FILE,
    RUN_FILE,
    check_run_folder,
    check_still_new,
    start_anew,
)
from resnet_deploy.training.loop import Training
from resnet_deploy.training.memory import keep_freed_memory
from resnet_deploy.training.metrics import Metrics
from resnet_deploy.training.outcome import export_command, weights_card, write_outcome
from resnet_deploy.training.preparing import prepare
from resnet_deploy.training.recipe import to_values
from resnet_deploy.training.resuming import check_fits
from resnet_deploy.visible import visible_json

_STEPS_PER_LINE = 50
"""Updates between two ``step`` lines in the metrics."""

_LONGEST = 40
"""Characters of a setting in a message."""

OnEpoch = Callable[[Epoch, int], None]
"""Called with every finished epoch, and with the number of all."""


def train(
    request: TrainRequest,
    environment: Environment,
    *,
    progress: Progress = silent,
    on_epoch: OnEpoch | None = None,
) -> TrainingResult:
    """Train what ``request`` asks for, or go on where an earlier run stopped.

    The run's folder gets ``run.json`` (what was asked for), ``last.pt`` (the whole state, replaced
    every epoch and every few minutes), ``metrics.jsonl``, and at the end ``model.safetensors`` with
    its card, and ``best.safetensors`` where an earlier epoch did better on the test images.

    Ctrl-C and SIGTERM stop the run between two steps, with everything saved.

    Raises:
        SpecError: the request contradicts itself, its data, or the run it continues; or another
            command is writing to its folder.
        DatasetError: the images can't be used.
        CheckpointError: weights or checkpoint can't be read, or don't fit.
        TrainingError: the loss is not finite, or another process was lost.
        ArtifactError: the folder can't be written; the last checkpoint is whole.
    """
    with (
        crew_of_environment() as crew,
        torch.random.fork_rng(devices=[]),
        Claim(request.out) as claim,
    ):
        torch.set_num_threads(request.threads or max(1, default_threads() // crew.local))
        keep_freed_memory()
        if not crew.leads:
            progress = silent
        torch.manual_seed(request.seed)  # for nets with Dropout
        if crew.leads:
            claim.take_if_there()
        check_run_folder(request)
        training = prepare(request, crew, progress)
        run = Run(request=request, training=training, progress=progress, claim=claim)
        if request.resume and run.last.exists():
            run.restore()
        crew.check_equal("data", int(training.data.fingerprint[:6], 16))
        crew.check_equal("checkpoints", training.steps)
        return run.go(environment, on_epoch)


@dataclass(kw_only=True)
class Run:
    """A training, and the folder that it is kept in."""

    request: TrainRequest
    training: Training
    progress: Progress
    claim: Claim
    notices: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.out = self.request.out
        self.last = self.out / LAST_FILE
        self.crew: Crew = self.training.crew
        self.settings = _settings_of(self.request, self.training)
        self.resumed = False
        self._saved = time.monotonic()
        self._metrics: Metrics | None = None

    def restore(self) -> None:
        """Go on from the last checkpoint.

        Raises:
            CheckpointError: it is damaged, or the network has changed since.
            SpecError: it is of another training.
        """
        checkpoint = load_checkpoint(self.last)
        if different := _differences(checkpoint.settings, self.settings):
            raise SpecError(
                f"{self.out} holds another run ({'; '.join(different)}): --resume needs the "
                "options of that run; or choose another folder"
            )
        threads, world = checkpoint.crew
        if (threads, world) != (torch.get_num_threads(), self.crew.world):
            self.notices.append(
                f"the run had {world} process(es) of {threads} thread(s) until here: from now on "
                "its last digits differ from those of a run that was never stopped"
            )
        try:
            check_fits(self.training, checkpoint)
            self.training.restore(checkpoint)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            # A factory's code may have changed, which settings don't tell.
            raise CheckpointError(
                f"{self.last} does not fit {self.training.trainable.spec.name} any more "
                f"({one_line(error)}): choose another folder, or --force to start anew"
            ) from error
        self.resumed = True

    def go(self, environment: Environment, on_epoch: OnEpoch | None) -> TrainingResult:
        """Train to the end, or until a signal."""
        training = self.training
        with self._writing(environment), Interrupts(spared=1) as interrupts:
            stopped = False
            while not (training.finished or stopped):
                stopped = not training.train_epoch(
                    lambda: self._after_step(interrupts), self.progress
                )
                # Lines come before the state that they lead to: a run that is killed in between
                # writes them again, and drops these when it goes on.
                if not stopped and self._metrics is not None:
                    epoch = training.epochs[-1]
                    figures = {**asdict(epoch), "images_per_second": epoch.images_per_second}
                    self._metrics.write("epoch", figures.pop("steps"), figures)
                self._save()
                if not stopped and self.crew.leads and on_epoch is not None:
                    on_epoch(training.epochs[-1], training.recipe.epochs)
        # Without a signal of its own, it was another process that was interrupted.
        signal = "SIGTERM" if interrupts.seen is None else interrupts.seen.name
        files = {"run": self.out / RUN_FILE, "last": self.last, "metrics": self.out / METRICS_FILE}
        card = weights_card(training, self.request)
        if training.finished:
            files |= write_outcome(training, card, self.out, writes=self.crew.leads)
        return TrainingResult(
            model=training.trainable.spec.name,
            recipe=to_values(training.recipe),
            data=training.data.name,
            classes=training.data.classes,
            train_images=len(training.data.train),
            test_images=len(training.data.test),
            parameters=sum(p.numel() for p in training.trainable.module.parameters()),
            epochs=tuple(training.epochs),
            files={role: str(path) for role, path in files.items()},
            export=export_command(self.request, files.get("model", self.last)),
            interrupted=signal if stopped else None,
            notices=(*training.trainable.notices, *self.notices),
            environment=environment,
            processes=self.crew.world,
            threads=torch.get_num_threads(),
            precision=training.precision.value,
            leads=self.crew.leads,
        )

    @contextmanager
    def _writing(self, environment: Environment) -> Iterator[None]:
        if not self.crew.leads:
            yield
            return
        if self.claim.take():
            check_still_new(self.request)
        if not self.resumed:
            start_anew(self.out)
        content = {"command": environment.command, "settings": self.settings}
        write_atomically(self.out / RUN_FILE, visible_json(content))
        self._metrics = Metrics(
            self.out / METRICS_FILE, steps=self.training.steps, epochs=len(self.training.epochs)
        )
        try:
            yield
        finally:
            self._metrics.close()

    def _after_step(self, interrupts: Interrupts) -> bool:
        training = self.training
        position = training.position
        every = training.steps_per_epoch
        size = training.recipe.batch_size
        self.progress(
            ImageStage("training"), training.steps * size, training.recipe.epochs * every * size
        )
        if self._metrics is not None and training.steps % _STEPS_PER_LINE == 0:
            figures = {
                "epoch": position.epoch + 1,
                "lr": training.optimizer.param_groups[0]["lr"],
                "loss": position.loss / position.images,
                "images_per_second": position.images / position.seconds,
            }
            self._metrics.write("step", training.steps, figures)
        # All processes must leave at the same step, or the others would wait for this one.
        (stop,) = self.crew.total(float(interrupts.seen is not None))
        if not stop and time.monotonic() - self._saved >= self.request.save_seconds:
            self._save()
        return stop > 0

    def _save(self) -> None:
        if self.crew.leads:
            card = weights_card(self.training, self.request)
            save_checkpoint(self.last, self.training.checkpoint(self.settings, card.to_json()))
        self._saved = time.monotonic()


def _settings_of(request: TrainRequest, training: Training) -> dict[str, Any]:
    """Return what decides the weights of ``training``, as JSON values."""
    loaded = training.trainable.loaded
    settings = {
        "network": asdict(training.trainable.spec),
        "weights": None if loaded is None else loaded.source.sha256,
        "data": training.data.fingerprint,
        "classes": list(training.data.classes),
        "preprocessing": asdict(training.data.train.preprocess),
        "recipe": to_values(training.recipe),
        "precision": training.precision.value,
        "seed": request.seed,
        "qat": request.qat,
    }
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return each setting of ``now`` that ``before`` has otherwise, in words."""
    found = []
    for name, value in now.items():
        earlier = before.get(name)
        if isinstance(earlier, dict) and isinstance(value, dict):
            found += [f"{name} {inner}" for inner in _differences(earlier, value)]
        elif earlier != value:
            found.append(f"{name} {_short(earlier)}, not {_short(value)}")
    return found


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
